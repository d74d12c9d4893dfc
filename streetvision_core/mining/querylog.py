"""The query log: every answered query, its image and its evidence, on disk and safe against kills and full disks.

SQLite in WAL mode holds the rows, content-addressed files hold the images. A row is only ever committed after its
image is on disk; an image without a row is harmless and goes at the next `prune`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from streetvision_core.errors import QueryLogError, StorageError, StreetVisionError
from streetvision_core.mining._images import ImageStore, is_digest
from streetvision_core.mining._rows import COLUMNS, NewQuery, QueryRow, from_record, to_record
from streetvision_core.mining._schema import migrate
from streetvision_core.mining._set_aside import move_aside
from streetvision_core.types import Era, FailureMode, Verdict

__all__ = [
    "Counts",
    "Health",
    "ImageStore",
    "NewQuery",
    "QueryLog",
    "QueryRow",
    "is_digest",
    "open_or_set_aside",
    "set_aside",
]

_BUSY_SECONDS = 15.0
_DELETED_AT_ONCE = 1000
_log = structlog.get_logger(__name__)
_LAST_ID = "(SELECT max(last_pruned_id, coalesce((SELECT max(id) FROM queries), 0)) FROM log)"
"""The highest number that a query of this log ever had; numbers are never given twice."""
_INSERT = f"INSERT INTO queries (id, {COLUMNS}) VALUES ({_LAST_ID} + 1, {', '.join('?' * len(COLUMNS.split(',')))})"
_SELECT = f"SELECT id, {COLUMNS} FROM queries"


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the log holds."""

    queries: int
    images: int
    with_truth: int
    days: dict[str, int]
    eras: dict[str, int]
    model_versions: dict[str, int]


@dataclass(frozen=True, slots=True)
class Health:
    """What `QueryLog.check` found.

    Attributes:
        ok: the database is sound, every row can be read and has its sound image.
        database: what SQLite says of its structure.
        missing: digests of images that are not there.
        damaged: digests of images whose bytes are others.
        orphans: digests of images that no row names.
        bad_rows: numbers of rows that cannot be read; they are left out everywhere.
    """

    ok: bool
    database: str
    missing: tuple[str, ...]
    damaged: tuple[str, ...]
    orphans: tuple[str, ...]
    bad_rows: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


class QueryLog:
    """The query log under one folder; any number of threads and processes may write to it.

    Args:
        root: the folder, made if absent: `queries.sqlite` and `images/`.
        busy_seconds: how long a write waits for another writer.

    Raises:
        StorageError: the folder cannot be written.
        QueryLogError: the database is damaged or of a newer version.
    """

    def __init__(self, root: Path, busy_seconds: float = _BUSY_SECONDS) -> None:
        self.root = root
        self.path = root / "queries.sqlite"
        self.images = ImageStore(root / "images")
        self._lock = threading.RLock()
        with self._named("open"):
            root.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, busy_seconds, isolation_level=None, check_same_thread=False)
            # what is no UTF-8 spoils its row alone, not the whole answer
            self._db.text_factory = lambda data: data.decode(errors="surrogateescape")
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                # what is deleted is overwritten, so that a forgotten caller's words are not left in the file
                self._db.execute("PRAGMA secure_delete = ON")
                # NORMAL: a killed process loses nothing, a power cut at most the newest transactions, never the log.
                self._db.execute("PRAGMA synchronous = NORMAL")
                _check_columns(self._db, self.path, made=False)
                migrate(self._db)
                _check_columns(self._db, self.path)
                self._inode = self.path.stat().st_ino
            except BaseException:
                self._db.close()
                raise

    def append(
        self,
        frame_bytes: bytes,
        verdict: Verdict,
        *,
        era: Era,
        group: str,
        origin: str,
        received_at: datetime,
        truth: int | None = None,
        modes: Sequence[FailureMode] = (),
    ) -> str:
        """Logs one query; see `NewQuery` for the arguments.

        Returns:
            The image's sha256.
        """
        query = NewQuery(frame_bytes, verdict, era, group, origin, received_at, truth, tuple(modes))
        return self.append_many([query])[0]

    def append_many(self, queries: Sequence[NewQuery]) -> list[str]:
        """Logs queries in one transaction: all of them or none.

        Returns:
            The images' sha256, in order.

        Raises:
            StorageError: the disk is full or not writable; what was logged before is untouched.
            QueryLogError: another writer held the log for too long, or the database is damaged.
        """
        digests = [self.images.put(query.frame_bytes) for query in queries]
        with self._named("append"), self._transaction():
            # A prune between the two steps may have removed an image it took for an orphan.
            for query, digest in zip(queries, digests, strict=True):
                self.images.ensure(digest, query.frame_bytes)
            self._db.executemany(_INSERT, [to_record(q, digest) for q, digest in zip(queries, digests, strict=True)])
        return digests

    def rows(self, day: date | str | None = None) -> list[QueryRow]:
        """The queries of a UTC day (None: all days), in the order they were logged; what cannot be read is left out."""
        where, values = ("", ()) if day is None else (" WHERE day = ?", (str(day),))
        return self._read(where, values)[0]

    def is_current(self) -> bool:
        """Whether the file that was opened is still the one at its path; it may have been moved or deleted."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def rows_between(self, first_id: int, last_id: int, days: Sequence[str] | None = None) -> list[QueryRow]:
        """The queries whose numbers lie in a range, both ends included, in the order they were logged.

        Args:
            first_id: the first number.
            last_id: the last number; below `first_id` there are none.
            days: only queries of these UTC days, `YYYY-MM-DD`; None: of all.
        """
        return self._read(*_in_range(first_id, last_id, days))[0]

    def days_between(self, first_id: int, last_id: int, days: Sequence[str] | None = None) -> tuple[str, ...]:
        """The UTC days of those queries, oldest first; arguments as of `rows_between`."""
        where, values = _in_range(first_id, last_id, days)
        return tuple(row[0] for row in self._query(f"SELECT DISTINCT day FROM queries{where} ORDER BY day", values))

    def last_id(self) -> int:
        """The number of the query logged last, 0 before the first; it never falls, whatever is pruned."""
        return int(self._query(f"SELECT {_LAST_ID}")[0][0])

    def identity(self) -> str:
        """A name that this log alone has; numbers of another log mean other queries."""
        return str(self._query("SELECT identity FROM log")[0][0])

    def image(self, sha256: str) -> bytes:
        """The bytes of a logged image.

        Raises:
            QueryLogError: no such image, or its bytes are damaged.
        """
        return self.images.get(sha256)

    def image_names(self) -> dict[str, str]:
        """The image of every row, by the row's name: `query-7` to its sha256."""
        return {f"query-{number}": str(sha256) for number, sha256 in self._query("SELECT id, sha256 FROM queries")}

    def counts(self) -> Counts:
        """How many queries there are, by day, era and model version."""
        queries, images, truths = self._query("SELECT count(*), count(DISTINCT sha256), count(truth) FROM queries")[0]
        return Counts(queries, images, truths, self._by("day"), self._by("era"), self._by("model_version"))

    def last_received(self, origin: str) -> datetime | None:
        """When the newest query of an origin was received, aware, UTC; None without any."""
        found = self._query("SELECT max(received_at) FROM queries WHERE origin = ?", (origin,))[0][0]
        return None if found is None else datetime.fromisoformat(found)

    def prune(self, keep_days: int, now: datetime | None = None, protected: Container[str] = frozenset()) -> int:
        """Forgets queries older than `keep_days` UTC days, and every image no query mentions any more.

        Args:
            keep_days: how many days stay.
            now: an aware time; None is now.
            protected: digests of images whose queries stay however old they are.

        Returns:
            How many queries went.
        """
        if keep_days < 0:
            raise QueryLogError(f"keep_days = {keep_days}", "0 or more", "give the number of days to keep")
        first_kept = (now or datetime.now(UTC)).astimezone(UTC) - timedelta(days=keep_days)
        old = self._query("SELECT id, sha256 FROM queries WHERE day < ?", (first_kept.date().isoformat(),))
        gone = self._delete([number for number, sha256 in old if sha256 not in protected])
        self._sweep(first_kept if list(self.root.glob("queries.damaged-*.sqlite")) else None)
        return gone

    def shrink(self, max_bytes: int, protected: Container[str] = frozenset()) -> int:
        """Forgets the oldest queries until the images weigh no more than `max_bytes`.

        Args:
            max_bytes: of all images together.
            protected: digests of images whose queries stay.

        Returns:
            How many queries went.
        """
        excess = self.images.total_bytes() - max_bytes
        doomed: list[int] = []
        images: set[str] = set()
        for number, sha256 in self._query("SELECT id, sha256 FROM queries ORDER BY id"):
            if excess <= 0:
                break
            if sha256 in protected:
                continue
            doomed.append(number)
            if sha256 not in images:
                images.add(sha256)
                excess -= self.images.bytes_of(sha256)
        # another query of the same image, logged later, would keep its bytes
        doomed += [n for n, sha256 in self._query("SELECT id, sha256 FROM queries") if sha256 in images]
        return self._delete(sorted(set(doomed)))

    def forget(self, digests: Iterable[str]) -> tuple[QueryRow, ...]:
        """Deletes images with every query of them.

        Returns:
            The queries that went, as far as they could be read.
        """
        wanted = tuple(dict.fromkeys(digests))
        where = f" WHERE sha256 IN ({','.join('?' * len(wanted))})"
        gone, bad = self._read(where, wanted)
        self._delete([*(row.id for row in gone), *bad])
        for sha256 in wanted:
            self.images.remove(sha256)
        return tuple(gone)

    def _delete(self, numbers: Sequence[int]) -> int:
        """Deletes queries, and the images that only they mention, a part at a time, so that writers need not wait."""
        for start in range(0, len(numbers), _DELETED_AT_ONCE):
            some = numbers[start : start + _DELETED_AT_ONCE]
            marks = ",".join("?" * len(some))
            # The files go while the write lock is held, so no other writer can start to rely on one of them.
            with self._named("prune"), self._transaction():
                self._db.execute(f"UPDATE log SET last_pruned_id = {_LAST_ID}")
                question = f"SELECT DISTINCT sha256 FROM queries WHERE id IN ({marks})"
                mentioned = [row[0] for row in self._db.execute(question, some)]
                self._db.execute(f"DELETE FROM queries WHERE id IN ({marks})", some)
                for sha256 in self._unmentioned(mentioned):
                    self.images.remove(sha256)
        return len(numbers)

    def _sweep(self, older_than: datetime | None) -> None:
        """Removes images that no query mentions.

        Args:
            older_than: only files written before; None: all. A log that was set aside still mentions some.
        """
        orphans = sorted(set(self.images) - {str(row[0]) for row in self._query("SELECT DISTINCT sha256 FROM queries")})
        for start in range(0, len(orphans), _DELETED_AT_ONCE):
            with self._named("prune"), self._transaction():
                for sha256 in self._unmentioned(orphans[start : start + _DELETED_AT_ONCE]):
                    if older_than is None or self.images.written_at(sha256) < older_than.timestamp():
                        self.images.remove(sha256)

    def _unmentioned(self, digests: Sequence[str]) -> list[str]:
        marks = ",".join("?" * len(digests))
        used = {row[0] for row in self._db.execute(f"SELECT sha256 FROM queries WHERE sha256 IN ({marks})", digests)}
        return [sha256 for sha256 in digests if sha256 not in used and is_digest(sha256)]

    def check(self) -> Health:
        """Checks the database's structure, reads every row and checks every image's digest."""
        answers = [str(row[0]) for row in self._query("PRAGMA integrity_check")]
        rows, bad = self._read("", ())
        used = sorted({row.sha256 for row in rows})
        missing = tuple(s for s in used if not self.images.path(s).is_file())
        damaged = tuple(s for s in used if s not in missing and not self.images.is_sound(s))
        orphans = tuple(s for s in self.images if s not in set(used))
        sound = answers == ["ok"] and not missing and not damaged and not bad
        return Health(sound, "; ".join(answers), missing, damaged, orphans, bad)

    def close(self) -> None:
        """Closes the database; the log cannot be used afterwards."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _by(self, column: str) -> dict[str, int]:
        return dict(self._query(f"SELECT {column}, count(*) FROM queries GROUP BY {column} ORDER BY {column}"))

    def _read(self, where: str, values: Sequence[Any]) -> tuple[list[QueryRow], tuple[int, ...]]:
        """The rows that can be read, and the numbers of those that cannot."""
        rows: list[QueryRow] = []
        bad: list[int] = []
        for record in self._query(f"{_SELECT}{where} ORDER BY id", values):
            try:
                rows.append(from_record(record))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                bad.append(record[0])
                why = f"{type(error).__name__}: {error}"
        if bad:
            _log.warning("rows of the query log left out", rows=len(bad), first=bad[:5], last_error=why)
        return rows, tuple(bad)

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._named("read"):
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite itself rolls back on a full disk; a second ROLLBACK would hide the real error.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        try:
            yield
        except StreetVisionError:
            raise
        except sqlite3.Error as error:
            raise _translate(error, doing, self.path) from error
        except OSError as error:
            raise StorageError(
                got=f"{error.strerror or error} on {doing} of the query log",
                allowed="a writable folder with free space",
                action=f"free space or mend the rights of {self.root}; what was logged is untouched",
                path=str(self.root),
            ) from error


def open_or_set_aside(root: Path, busy_seconds: float = _BUSY_SECONDS) -> QueryLog:
    """The query log under a folder; one that is damaged is set aside by name, with its rows, and a new one begun.

    Raises:
        StorageError: the folder cannot be written.
        QueryLogError: the database is locked, or of a newer version.
    """
    try:
        return QueryLog(root, busy_seconds)
    except QueryLogError as error:
        if not error.data.get("damaged"):
            raise
    with move_aside(root / "queries.sqlite") as move:
        try:
            return QueryLog(root, busy_seconds)  # another process was here before
        except QueryLogError as error:
            if not error.data.get("damaged"):
                raise
            _log.error("query log damaged and set aside", to=str(move()), error=str(error))
    return QueryLog(root, busy_seconds)


def set_aside(log: QueryLog) -> QueryLog:
    """Closes a log that turned out to be damaged, sets its file aside and opens a new one.

    Raises:
        StorageError: the folder cannot be written.
        QueryLogError: the new database is locked.
    """
    log.close()
    with move_aside(log.path) as move:
        if log.is_current():
            _log.error("query log damaged and set aside", to=str(move()))
    return open_or_set_aside(log.root)


def _check_columns(connection: sqlite3.Connection, path: Path, made: bool = True) -> None:
    """Refuses a database that calls itself a query log and has other columns; `made` False: it may have none yet."""
    if not made and not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'queries'").fetchall():
        return
    try:
        connection.execute(f"{_SELECT} LIMIT 0")
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        raise _damaged(path, f"{error} in {path.name}", "SQLITE_SCHEMA") from error


def _damaged(path: Path, got: str, code: str) -> QueryLogError:
    return QueryLogError(
        got=got,
        allowed="a sound query log",
        action=f"run: streetvision log check; then restore {path} from a backup or move it away",
        code=code,
        damaged=True,
    )


def _in_range(first_id: int, last_id: int, days: Sequence[str] | None) -> tuple[str, tuple[Any, ...]]:
    if days is None:
        return " WHERE id BETWEEN ? AND ?", (first_id, last_id)
    return f" WHERE id BETWEEN ? AND ? AND day IN ({', '.join('?' * len(days))})", (first_id, last_id, *days)


def _translate(error: sqlite3.Error, doing: str, path: Path) -> StreetVisionError:
    code = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if code == "SQLITE_FULL" or code.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return StorageError(
            got=f"{error} ({code}) on {doing} of {path.name}",
            allowed="a writable folder with free space",
            action=f"free space or mend the rights of {path.parent}, then log again; what was logged is untouched",
            code=code,
        )
    got = f"{error} ({code}) on {doing} of {path.name}"
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(path, got, code)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return QueryLogError(got, "one writer at a time", "end the other writer, or log again", code=code)
    return QueryLogError(got, "values that SQLite can keep", "run: streetvision log check", code=code)
