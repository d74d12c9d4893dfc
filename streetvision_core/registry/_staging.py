"""Putting a version on disk: staged beside its place, synced, then renamed, so that it is whole or absent."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError, RegistryError, StorageError
from streetvision_core.registry._records import sync_folder
from streetvision_core.registry.manifest import MANIFEST_FILE, scan_folder

CARD_FILE: Final = "card.json"
_STAGE: Final = ".staging-"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def store(
    root: Path,
    files: Mapping[str, bytes | Path],
    card: Mapping[str, Any],
    now: datetime,
    known: Mapping[str, str],
    digest: str | None = None,
) -> str:
    """Writes a version and returns its name; the caller holds the registry's lock.

    Args:
        root: the registry's folder.
        files: content or source path by file name.
        card: written as `card.json`.
        now: aware time of creation.
        known: name by digest of the versions there are; the same bytes are the same version.
        digest: what the files must come to; None takes whatever they are.

    Raises:
        ManifestError: a file is no plain data file, or the files come to another digest.
        RegistryError: a name cannot be used, or the card is no JSON.
        StorageError: the disk is full; nothing is registered then.
    """
    contents = {**_checked_names(files), CARD_FILE: _card_bytes(card)}
    for leftover in root.glob(f"{_STAGE}*"):
        shutil.rmtree(leftover)
    stage: Path | None = None
    try:
        stage = Path(tempfile.mkdtemp(dir=root, prefix=_STAGE))
        for name, content in contents.items():
            _write(stage / name, content)
        manifest = scan_folder(stage, now)
        if digest is not None and manifest.digest != digest:
            raise ManifestError(
                got=f"files with the digest {manifest.digest[:12]}",
                allowed=digest[:12],
                action="fetch the files again from where they were made; nothing was registered",
            )
        if manifest.digest in known:
            return known[manifest.digest]
        _write(stage / MANIFEST_FILE, json.dumps(manifest.to_dict(), indent=2, sort_keys=True).encode() + b"\n")
        stage.chmod(0o755)
        sync_folder(stage)
        name = f"v{_next_number(root):04d}-{manifest.digest[:8]}"
        stage.rename(root / name)
        stage = None
        sync_folder(root)
        return name
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror or error} while registering a version",
            allowed="readable source files and a writable folder with free space",
            action=f"free space or fix the rights of {root}, then run again; nothing was registered",
            errno=error.errno,
        ) from error
    finally:
        if stage is not None:
            shutil.rmtree(stage, ignore_errors=True)


def _write(path: Path, content: bytes | Path) -> None:
    with path.open("wb") as file:
        if isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file, 2**20)
        else:
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _next_number(root: Path) -> int:
    numbers = (re.match(r"v(\d+)-", p.name) for p in root.glob("v*-*"))
    return 1 + max((int(m.group(1)) for m in numbers if m), default=0)


def _checked_names(files: Mapping[str, bytes | Path]) -> dict[str, bytes | Path]:
    for name in files:
        if not _NAME.fullmatch(name) or name in (MANIFEST_FILE, CARD_FILE):
            raise RegistryError(
                got=f"a file named {name!r}",
                allowed=f"letters, digits, dot, dash, underscore; not {MANIFEST_FILE} or {CARD_FILE}, written here",
                action="rename the file, or pass the card's content as `card`",
            )
    if not files:
        raise RegistryError("no files", "at least one file", "save the head and its calibration first")
    return dict(files)


def _card_bytes(card: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(card), indent=2, sort_keys=True, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise RegistryError(f"a card that is no JSON: {error}", "JSON values without NaN", "fix the card") from error
