"""A version as one zip file, to carry it to another machine; what comes in is checked to the last byte.

The archive holds the version's files, its manifest and `export.json` with the digest of the manifest, so that a date
or a name changed on the way is found too. It is no signature: take archives from people you trust.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError, RegistryError, StorageError
from streetvision_core.registry._store import CARD_FILE, ModelVersion
from streetvision_core.registry.manifest import MANIFEST_FILE, Manifest, check_folder, read_manifest
from streetvision_core.registry.versions import Registry

FORMAT: Final = "streetvision-version/1"
EXPORT_FILE: Final = "export.json"
MAX_FACTS_BYTES: Final = 4 * 2**20
"""Most that the manifest or the export file of an archive may weigh."""
MAX_FILES: Final = 200


def export_version(registry: Registry, name: str, path: Path) -> ModelVersion:
    """Writes a checked version into a zip file.

    Args:
        registry: where it lies.
        name: a version, its number, `champion` or `challenger`.
        path: the file to write; a folder gets a file named after the version.

    Raises:
        RegistryError: no such version.
        ManifestError: one of its files is damaged.
        StorageError: the file cannot be written, or is there already.
    """
    version = registry.get(name)
    target = path / f"{version.name}.zip" if path.is_dir() else path
    manifest = version.folder / MANIFEST_FILE
    facts = {"format": FORMAT, "name": version.name, "manifest_sha256": _sha256(manifest.read_bytes())}
    temporary: Path | None = None
    try:
        if target.exists():
            raise FileExistsError(17, "file exists")
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = Path(file.name)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(EXPORT_FILE, json.dumps(facts, indent=2, sort_keys=True))
                for member in sorted(version.folder.iterdir()):
                    archive.write(member, member.name)
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise StorageError(
            got=f"{error.strerror or error} while writing {target}",
            allowed="a new file in a writable folder with free space",
            action="name another file: streetvision versions export VERSION PATH",
            path=str(target),
        ) from error
    return version


def import_version(registry: Registry, path: Path, by: str) -> ModelVersion:
    """Registers the version of a zip file; it serves nothing until a person or the gate puts it into service.

    Args:
        registry: where it goes.
        path: the file.
        by: who brings it; stands in the history.

    Returns:
        The version, under a number of this registry; the one that is there already if it holds the same bytes.

    Raises:
        RegistryError: no such file, or no archive of a version.
        ManifestError: a file in it differs from its manifest.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
            source = _unpack(archive, Path(folder), path)
            manifest = check_folder(Path(folder))
            card = _card(Path(folder))
            version = registry.take_in(Path(folder), card, manifest)
            known = any(event.version == version.name for event in registry.history())
            if not known:
                registry.note_import(version, by, f"{path.name} ({source})")
            return version
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise _foreign(path, f"{type(error).__name__}: {error}") from error


def _unpack(archive: zipfile.ZipFile, folder: Path, path: Path) -> str:
    """Writes the members into a folder; nothing is read that the manifest does not announce in size."""
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()) or len(members) > MAX_FILES:
        raise _foreign(path, "names that stand there twice, or too many of them")
    facts = _facts(_small(archive, members, EXPORT_FILE, path), path)
    text = _small(archive, members, MANIFEST_FILE, path)
    if _sha256(text) != facts["manifest_sha256"]:
        raise ManifestError(
            got=f"{MANIFEST_FILE} in {path.name}: {_sha256(text)[:12]}",
            allowed=f"{str(facts['manifest_sha256'])[:12]}, as {EXPORT_FILE} says",
            action="export the version again where it was made: streetvision versions export VERSION PATH",
            file=MANIFEST_FILE,
        )
    (folder / MANIFEST_FILE).write_bytes(text)
    manifest = read_manifest(folder)
    _check_members(members, manifest, path)
    for name in manifest.files:
        with archive.open(members[name]) as source, (folder / name).open("wb") as target:
            while chunk := source.read(2**20):
                target.write(chunk)
    return str(facts["name"])[:100]


def _check_members(members: Mapping[str, zipfile.ZipInfo], manifest: Manifest, path: Path) -> None:
    wanted = {name: entry.bytes for name, entry in manifest.files.items()}
    found = {name: info.file_size for name, info in members.items() if name not in (EXPORT_FILE, MANIFEST_FILE)}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ManifestError(
                got=f"{name} in {path.name}: {_size(found.get(name))}",
                allowed=f"{_size(wanted.get(name))}, as its manifest says",
                action="export the version again where it was made: streetvision versions export VERSION PATH",
                file=name,
            )


def _small(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str, path: Path) -> bytes:
    info = members.get(name)
    if info is None or info.file_size > MAX_FACTS_BYTES:
        raise _foreign(path, f"no {name}" if info is None else f"{info.file_size} bytes of {name}")
    return archive.read(info)


def _facts(text: bytes, path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(text)
        if facts["format"] == FORMAT and isinstance(facts["name"], str) and isinstance(facts["manifest_sha256"], str):
            return dict(facts)
        got = f"the format {str(facts['format'])[:60]!r}"
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        got = f"an {EXPORT_FILE} that cannot be read ({type(error).__name__})"
    raise _foreign(path, got)


def _card(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / CARD_FILE).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ManifestError(
            got=f"{CARD_FILE}: {type(error).__name__}",
            allowed="the card of a version, a JSON object",
            action="export the version again where it was made: streetvision versions export VERSION PATH",
            file=CARD_FILE,
        ) from error


def _foreign(path: Path, got: str) -> RegistryError:
    return RegistryError(
        got=f"{path.name}, which is no archive of a version ({got})",
        allowed=f"a zip file with {EXPORT_FILE} of the format {FORMAT}",
        action="write one where the version was made: streetvision versions export VERSION PATH",
        path=str(path),
    )


def _size(size: int | None) -> str:
    return "no such file" if size is None else f"{size} bytes"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
