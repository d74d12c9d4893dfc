"""A damaged database is kept under another name: nothing is deleted, and a new one can begin at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from streetvision_core.errors import StorageError


@contextmanager
def move_aside(path: Path) -> Iterator[Callable[[], Path]]:
    """Holds a lock between processes; what it yields moves the database, with its journal, and returns the new path.

    Raises:
        StorageError: the folder cannot be written.
    """

    def move() -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        target = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
        number = 1
        while target.exists():
            number += 1
            target = path.with_name(f"{path.stem}.damaged-{stamp}-{number}{path.suffix}")
        for suffix in ("", "-wal", "-shm"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(target.with_name(target.name + suffix))
        return target

    try:
        with FileLock(path.with_name(".set-aside.lock"), fallback_to_soft=False):
            yield move
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror or error} while setting {path.name} aside",
            allowed="a writable folder",
            action=f"fix the rights of {path.parent}; answers go on without a log meanwhile",
            path=str(path),
        ) from error
