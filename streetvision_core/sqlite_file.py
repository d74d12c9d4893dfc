"""One SQLite file that several threads and processes write to, with named errors instead of SQLite's.

The file is made at the first write: to ask an empty store a question leaves nothing behind.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import StorageError, StreetVisionError

_BUSY_SECONDS: Final = 15.0
_DISK: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")


class SqliteFile:
    """Connection, schema version, transactions and errors of one database file.

    Args:
        path: the file.
        what: its name in messages, e.g. `label store`.
        migrations: statements per version; entry k turns version k into k + 1 (`PRAGMA user_version`). Append only.
        error: the named error for a damaged, locked or newer file.
        busy_seconds: how long a write waits for another writer.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        migrations: Sequence[Sequence[str]],
        error: type[StreetVisionError],
        busy_seconds: float = _BUSY_SECONDS,
    ) -> None:
        self.path = path
        self._what, self._migrations, self._error, self._busy = what, migrations, error, busy_seconds
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows of a question; none where the file does not exist yet."""
        with self._lock, self._named("reading"):
            if self._db is None and not self.path.exists():
                return []
            return self._connection().execute(statement, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the writes inside, or none; another writer waits."""
        with self._lock, self._named("writing"):
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                # SQLite itself rolls back on a full disk; a second ROLLBACK would hide the real error.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Closes the connection; the next question opens it again."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, self._busy, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                # FULL: in WAL mode NORMAL may lose the newest transactions at a power cut.
                db.execute("PRAGMA synchronous = FULL")
                self._migrate(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _migrate(self, db: sqlite3.Connection) -> None:
        newest = len(self._migrations)
        if _version(db) == newest:
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            found = _version(db)  # again: another process may have migrated while this one waited
            if found > newest:
                raise self._error(
                    got=f"a {self._what} of version {found} in {self.path}",
                    allowed=f"version {newest} or older",
                    action="update StreetVision, or point paths.data at another workspace",
                    path=str(self.path),
                    version=found,
                )
            for statements in self._migrations[found:]:
                for statement in statements:
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {newest}")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        try:
            yield
        except StreetVisionError:
            raise
        except sqlite3.Error as error:
            raise self._translated(error, doing) from error
        except OSError as error:
            raise self._disk(error.strerror or str(error), doing) from error

    def _translated(self, error: sqlite3.Error, doing: str) -> StreetVisionError:
        code = getattr(error, "sqlite_errorname", None) or type(error).__name__
        if code.startswith(_DISK):
            return self._disk(f"{error} ({code})", doing)
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            allowed, action = "one writer at a time", "end the other writer, then do it again"
        else:
            allowed = f"a sound {self._what}"
            action = f"restore {self.path} from a backup, or move it away: it is then begun again empty"
        return self._error(
            got=f"{error} ({code}) while {doing} the {self._what} {self.path}",
            allowed=allowed,
            action=action,
            path=str(self.path),
            code=code,
        )

    def _disk(self, got: str, doing: str) -> StorageError:
        return StorageError(
            got=f"{got} while {doing} the {self._what} {self.path}",
            allowed="a writable folder with free space",
            action=f"free space or fix the rights of {self.path.parent}; what was recorded before is untouched",
            path=str(self.path),
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])
