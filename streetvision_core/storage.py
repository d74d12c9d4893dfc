"""Atomic writes: a reader sees the old file or the new one, never half of it.

A temporary file in the same folder is written, synced and moved over the target, then the folder is synced.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from streetvision_core.errors import StorageError


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path` by replace, making parent folders as needed.

    Raises:
        StorageError: the disk is full or the folder cannot be written; `path` is then unchanged.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror or error} while writing {path.name}",
            allowed="a writable folder with free space",
            action=f"free space or mend the rights of {path.parent}, then run again; the old file is unchanged",
            path=str(path),
            errno=error.errno,
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def atomic_write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text by replace; see `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode())


def atomic_write_json(path: Path, value: Any) -> None:
    """Writes indented JSON by replace; NaN is refused because other readers would refuse it."""
    atomic_write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
