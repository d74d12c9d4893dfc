"""One loop at a time. The kernel holds the lock, so a killed loop leaves none behind."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from streetvision_core.errors import LoopBusyError, StorageError
from streetvision_core.loop.state import now_iso
from streetvision_core.storage import atomic_write_json


@contextmanager
def loop_lock(path: Path, what: str) -> Iterator[None]:
    """Holds the loop's lock.

    Args:
        path: the lock file; who holds it stands in a JSON file beside it.
        what: what this loop does, for the message that another one gets.

    Raises:
        LoopBusyError: another loop holds it; raised at once.
        StorageError: the lock file cannot be made.
    """
    # Soft locks (mere existence of a file) would survive a kill -9.
    lock = FileLock(path, timeout=0, fallback_to_soft=False, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (Timeout, RuntimeError) as error:  # RuntimeError: this very thread holds it through another object
        raise _busy(path) from error
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror or error} while locking {path.name}",
            allowed="a writable folder on a file system with locks",
            action=f"free space or mend the rights of {path.parent}",
            path=str(path),
        ) from error
    try:
        with suppress(StorageError):  # on a full disk the loop itself says so; the lock holds without the note
            atomic_write_json(_holder_file(path), _me(what))
        yield
    finally:
        _holder_file(path).unlink(missing_ok=True)
        lock.release()


def _me(what: str) -> dict[str, str | int]:
    return {"what": what, "pid": os.getpid(), "user": _user(), "host": socket.gethostname(), "since": now_iso()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user id without a name
        return str(os.getuid())


def _holder_file(path: Path) -> Path:
    return path.with_suffix(".holder.json")


def _busy(path: Path) -> LoopBusyError:
    try:
        holder = json.loads(_holder_file(path).read_text(encoding="utf-8"))
        who = "{what} of {user}, process {pid} on {host}, since {since}".format(**holder)
        action = f"wait for it, or stop it: kill {holder['pid']}"
    except (OSError, ValueError, KeyError, TypeError):
        holder, who, action = {}, "another loop that has just started", "wait for it"
    return LoopBusyError(got=who, allowed="one loop at a time", action=action, holder=holder)
