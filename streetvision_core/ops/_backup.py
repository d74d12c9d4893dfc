"""One tar file of what a workspace holds and cannot make again, written beside the data folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from streetvision_core.errors import NoSpaceError, StorageError

MADE_AGAIN: Final = frozenset({"cache", "features", "hub", "heldout", "starter", "mlflow", "fiftyone"})
"""Folders of `data` that the loop makes again from the rest, or that came with the package."""
_DATABASES: Final = frozenset({".sqlite"})
_JOURNALS: Final = ("-wal", "-shm", "-journal")
_SPARE_BYTES: Final = 64 * 2**20


def back_up(data: Path, target: Path) -> int:
    """Writes the backup, or leaves a finished one as it is; a killed run leaves no half of one.

    Databases are copied by SQLite itself, so that what a server is writing meanwhile is whole in it.

    Args:
        data: the data folder.
        target: the tar file; its paths begin with `data/`.

    Returns:
        Bytes of the tar file.

    Raises:
        NoSpaceError: the disk is too small; nothing was written.
        StorageError: the file cannot be written.
    """
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    if target.exists():
        return target.stat().st_size
    files = list(_files(data))
    needed = sum(path.stat().st_size for path in files) + _SPARE_BYTES
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise NoSpaceError(
            got=f"{free / 1e6:,.0f} MB free for a backup of about {needed / 1e6:,.0f} MB",
            allowed="room for the backup beside the data folder",
            action=f"free space on the disk of {target.parent}, then run: streetvision migrate",
        )
    try:
        with part.open("wb") as raw:
            with tarfile.open(fileobj=raw, mode="w") as tar:
                for path in files:
                    _add(tar, path, f"data/{path.relative_to(data).as_posix()}")
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise StorageError(
            got=f"{error} while writing {target.name}",
            allowed="a writable folder and readable data",
            action=f"fix what it names, then run: streetvision migrate; nothing was changed in {data}",
            path=str(target),
        ) from error
    return target.stat().st_size


def _files(data: Path) -> Iterator[Path]:
    for path in sorted(data.rglob("*")):
        inside = path.relative_to(data).parts
        passing = path.name.endswith((*_JOURNALS, ".lock"))
        if inside[0] not in MADE_AGAIN and not passing and path.is_file() and not path.is_symlink():
            yield path


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    if path.suffix not in _DATABASES:
        tar.add(path, name)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        tar.add(copy, name)
