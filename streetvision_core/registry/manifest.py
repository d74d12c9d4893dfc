"""The sha256 manifest of a version's folder: what is loaded is what was registered, to the last byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError
from streetvision_core.storage import file_sha256

MANIFEST_FILE: Final = "manifest.json"
SUFFIXES: Final = (".safetensors", ".onnx", ".json", ".md")
"""Formats that hold data and cannot run code when loaded."""
_FORMAT: Final = "manifest/1"
_HEAD_BYTES: Final = 9


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its digest and its size in bytes."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a version, and when it was made.

    Attributes:
        files: entry by file name; a version's folder is flat.
        created_at: aware time in UTC.
        digest: hex sha256 over names and digests of all files; the same bytes give the same digest.
    """

    files: Mapping[str, FileEntry]
    created_at: datetime
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "format": _FORMAT,
            "created_at": self.created_at.isoformat(),
            "digest": self.digest,
            "files": {name: {"sha256": e.sha256, "bytes": e.bytes} for name, e in sorted(self.files.items())},
        }


def content_digest(digests: Mapping[str, str]) -> str:
    """Hex sha256 over file names and their digests, in order of name."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def scan_folder(folder: Path, created_at: datetime) -> Manifest:
    """Digests every file of a folder, after refusing what is no plain data file.

    Raises:
        ManifestError: a file of another format, a link, a sub-folder.
    """
    files = {path.name: _entry(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST_FILE}
    return Manifest(files, created_at, content_digest({name: e.sha256 for name, e in files.items()}))


def check_folder(folder: Path) -> Manifest:
    """Reads a folder's manifest and compares every file with it.

    Returns:
        The manifest, once every file is there, has its digest, and nothing else lies beside them.

    Raises:
        ManifestError: names the file, what was got and what the manifest wants.
    """
    wanted = read_manifest(folder)
    found = {path.name for path in folder.iterdir()} - {MANIFEST_FILE}
    for name, entry in wanted.files.items():
        if name not in found:
            raise _differs(folder, name, "no such file", entry.sha256)
        got = _entry(folder / name)
        if got != entry:
            raise _differs(folder, name, got.sha256, entry.sha256)
    for name in sorted(found - wanted.files.keys()):
        raise _differs(folder, name, "a file the manifest does not name", "no such file")
    digest = content_digest({name: entry.sha256 for name, entry in wanted.files.items()})
    if digest != wanted.digest:
        raise _differs(folder, MANIFEST_FILE, digest, wanted.digest)
    return wanted


def read_manifest(folder: Path) -> Manifest:
    """Reads `manifest.json` without looking at the files it names.

    Raises:
        ManifestError: absent, not JSON, or of another form.
    """
    try:
        data = json.loads((folder / MANIFEST_FILE).read_text())
        files = {str(name): FileEntry(e["sha256"], int(e["bytes"])) for name, e in data["files"].items()}
        created_at = datetime.fromisoformat(data["created_at"])
        if data["format"] != _FORMAT or created_at.tzinfo is None or any(Path(n).name != n for n in files):
            raise ValueError("another format, a time without zone, or a name with a folder in it")
        return Manifest(files, created_at, data["digest"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _differs(folder, MANIFEST_FILE, f"{type(error).__name__}: {error}", f"a readable {_FORMAT}") from error


def check_file(path: Path) -> None:
    """Refuses anything that is no plain file in one of the allowed formats.

    The suffix alone does not tell: `torch.save` writes whatever name it is given, so the first bytes are looked at.

    Raises:
        ManifestError: another suffix, a link, a folder, or a pickle under a good name.
    """
    if path.suffix not in SUFFIXES or path.is_symlink() or not path.is_file():
        raise _refused(path, f"{path.name!r}, a {_kind(path)}")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix == ".safetensors":
        right = len(head) == _HEAD_BYTES and int.from_bytes(head[:8], "little") < path.stat().st_size
        right = right and head[8:] == b"{"
    else:
        right = not head.startswith((b"\x80", b"PK\x03\x04"))
    if not right:
        raise _refused(path, f"{path.name!r}, whose first bytes are {head[:4].hex()} (a pickle or an archive?)")


def _entry(path: Path) -> FileEntry:
    check_file(path)
    return FileEntry(file_sha256(path), path.stat().st_size)


def _kind(path: Path) -> str:
    if path.is_symlink():
        return "link"
    return "folder" if path.is_dir() else f"file of type {path.suffix or 'none'}"


def _refused(path: Path, got: str) -> ManifestError:
    return ManifestError(
        got=got,
        allowed=f"plain files of type {', '.join(SUFFIXES)}",
        action="save weights as safetensors or ONNX and facts as JSON; pickles can run code and are never loaded",
        file=path.name,
        folder=str(path.parent),
    )


def _differs(folder: Path, name: str, got: str, want: str) -> ManifestError:
    return ManifestError(
        got=f"{name} in {folder.name}: {got}",
        allowed=want,
        action="put the file back as it was, or roll back to a version that is whole; never edit a version in place",
        file=name,
        folder=str(folder),
        got_sha256=got,
        want_sha256=want,
    )
