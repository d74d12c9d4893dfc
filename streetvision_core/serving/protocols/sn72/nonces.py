"""No signature is taken twice, and none that is too old or from the future; a restart does not change that.

A signature is known by receiver, sender and nonce. Those inside the time window, and a while longer in case our clock
is set back, lie in a small SQLite table that processes of one hotkey may share. It is not synced to the disk: a killed
process loses nothing, and a machine that lost its power is back later than the window is long.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final

import structlog

from streetvision_core.errors import QueryRefusedError, StorageError
from streetvision_core.serving.protocols.sn72.refusals import refused

SECOND: Final = 1_000_000_000
_KEEP_NS: Final = 600 * SECOND
_PRUNE_EVERY: Final = 1024
_BUSY_SECONDS: Final = 0.2
_SCHEMA: Final = """CREATE TABLE IF NOT EXISTS nonces (
    receiver TEXT NOT NULL, sender TEXT NOT NULL, nonce INTEGER NOT NULL, PRIMARY KEY (receiver, sender, nonce)
) WITHOUT ROWID"""
_log = structlog.get_logger(__name__)


class Nonces:
    """The signatures taken.

    Args:
        path: the table; made if absent.
        past_seconds: how old a nonce may be.
        future_seconds: how far ahead of our clock.
        limit: most rows; beyond it, once what is outside the window has gone, queries are refused.

    Raises:
        StorageError: the folder cannot be written, or another process holds the table.
    """

    def __init__(self, path: Path, past_seconds: float, future_seconds: float, limit: int) -> None:
        self._past = int(past_seconds * SECOND)
        self._future = int(future_seconds * SECOND)
        self._limit = limit
        self._floor = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open(path)
        except (OSError, sqlite3.OperationalError) as error:
            raise StorageError(
                got=f"{path}, which cannot be opened ({error})",
                allowed="a writable folder, and no other program in the table",
                action=f"mend the rights of {path.parent}, or end what holds the file",
                path=str(path),
            ) from error
        except sqlite3.DatabaseError as error:
            # What it knew is lost, so nothing signed until now, by a clock as far ahead as we allow, is taken any more.
            broken = path.with_suffix(".broken")
            _log.error("nonces unreadable, set aside", path=str(path), kept_as=str(broken), error=str(error))
            path.replace(broken)
            for journal in (f"{path}-wal", f"{path}-shm"):
                Path(journal).unlink(missing_ok=True)
            self._db = _open(path)
            self._floor = time.time_ns() + self._future
        self._rows = self._count()

    def check(self, nonce: int) -> None:
        """Looks whether a nonce lies in the window.

        Raises:
            QueryRefusedError: too old, or from the future.
        """
        now = time.time_ns()
        if nonce < now - self._past or nonce <= self._floor:
            raise refused("nonce-old", f"a nonce {(now - nonce) / SECOND:.1f} s old", "a fresh signature")
        if nonce > now + self._future:
            raise refused("nonce-future", f"a nonce {(nonce - now) / SECOND:.1f} s ahead", "a clock that is right")

    def check_unused(self, receiver: str, sender: str, nonce: int) -> None:
        """Looks whether a signature was taken before, and takes nothing.

        Raises:
            QueryRefusedError: it was, or that cannot be known.
        """
        try:
            asked = "SELECT 1 FROM nonces WHERE receiver = ? AND sender = ? AND nonce = ?"
            known = self._db.execute(asked, (receiver, sender, nonce)).fetchone()
        except sqlite3.Error as error:
            raise _cannot_keep(error) from error
        if known is not None:
            raise _replayed()

    def take(self, receiver: str, sender: str, nonce: int) -> None:
        """Takes a signature, once.

        Raises:
            QueryRefusedError: it was taken before, or cannot be remembered.
        """
        try:
            if self._rows % _PRUNE_EVERY == 0 or self._rows >= self._limit:
                self._make_room()
            self._db.execute("INSERT INTO nonces VALUES (?, ?, ?)", (receiver, sender, nonce))
        except sqlite3.IntegrityError as error:
            raise _replayed() from error
        except sqlite3.Error as error:
            raise _cannot_keep(error) from error
        self._rows += 1

    def close(self) -> None:
        """Closes the table."""
        self._db.close()

    def _make_room(self) -> None:
        now = time.time_ns()
        self._forget(now - max(_KEEP_NS, self._past))
        if self._rows >= self._limit:
            self._forget(now - self._past)
        if self._rows >= self._limit:
            raise refused("nonce-store", f"{self._rows} signatures within the window", f"at most {self._limit}")

    def _forget(self, before: int) -> None:
        self._db.execute("DELETE FROM nonces WHERE nonce < ?", (before,))
        self._rows = self._count()

    def _count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM nonces").fetchone()[0])


def _replayed() -> QueryRefusedError:
    return refused("nonce-replayed", "a signature taken before", "each signature once")


def _cannot_keep(error: sqlite3.Error) -> QueryRefusedError:
    return refused("nonce-store", f"nonces that cannot be kept ({error})", "a writable workspace", "free space")


def _open(path: Path) -> sqlite3.Connection:
    # used from the event loop's thread, closed from whichever stops the server
    connection = sqlite3.connect(path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(_SCHEMA)
        connection.execute("SELECT count(*) FROM nonces").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
