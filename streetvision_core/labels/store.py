"""The label store: `data/labels.sqlite`, beside the query log and not inside it.

The log may be pruned, set aside or lost; a person's word may not. So it has a file of its own, every write of which is
on disk before it counts.

Example:
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> store = LabelStore(Path(tempfile.mkdtemp()) / "labels.sqlite")
    >>> store.record_decisions([Decision("a" * 64, 1, "person", "anna", datetime.now(UTC))]).new
    1
    >>> store.labels()["a" * 64].label
    1
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from streetvision_core.errors import LabelStoreError
from streetvision_core.labels.values import Decision, Label, resolve_labels
from streetvision_core.settings import Settings
from streetvision_core.sqlite_file import SqliteFile

_COLUMNS: Final = "image, label, source, who, decided_at, why, tags, query, only_tags"
_TABLE: Final = """(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    image TEXT NOT NULL,
    label INTEGER CHECK (label IN (0, 1)),
    source TEXT NOT NULL CHECK (source IN ('person', 'renderer', 'machine', 'caller')),
    who TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    why TEXT NOT NULL,
    tags TEXT NOT NULL,
    query TEXT,
    only_tags INTEGER NOT NULL CHECK (only_tags IN (0, 1)),
    withdraws INTEGER
)"""
_MIGRATIONS: Final = (
    (
        f"CREATE TABLE decisions {_TABLE}",
        "CREATE INDEX decisions_by_image ON decisions (image)",
        # About images that nobody knows: kept, shown by `review status`, taken over once the image turns up.
        f"CREATE TABLE unknown_decisions {_TABLE}",
    ),
)
_Table = Literal["decisions", "unknown_decisions"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of decisions: how many are new, how many say what holds already, and those about unknown images."""

    new: int
    unchanged: int
    set_aside: tuple[Decision, ...] = ()


class LabelStore:
    """All decisions of a workspace, append-only; any number of threads and processes may write.

    Args:
        path: the file; made at the first write.
        busy_seconds: how long a write waits for another writer.
    """

    def __init__(self, path: Path, busy_seconds: float = 15.0) -> None:
        self.path = path
        self._file = SqliteFile(path, "label store", _MIGRATIONS, LabelStoreError, busy_seconds)

    def record_decisions(
        self, decisions: Iterable[Decision], is_known: Callable[[str], bool] = lambda image: True
    ) -> Recorded:
        """Adds decisions, all of them or none; one that only repeats what its source holds already changes nothing.

        Args:
            decisions: in the order they were made.
            is_known: says of an image's sha256 whether anything here is about it. Decisions about other images are kept
                apart, change no label, and come back in `set_aside`.

        Raises:
            LabelStoreError: the file is damaged, locked for too long, or of a newer version.
            StorageError: the disk is full or read-only; nothing was recorded.
        """
        new = unchanged = 0
        strangers: list[Decision] = []
        with self._file.transaction() as db:
            for decision in decisions:
                table: _Table = "decisions" if is_known(decision.image) else "unknown_decisions"
                added = self._add(db, table, decision)
                if table == "unknown_decisions":
                    strangers.append(decision)
                else:
                    new, unchanged = new + added, unchanged + (not added)
        return Recorded(new, unchanged, tuple(strangers))

    def undo(self, image: str, who: str, when: datetime) -> Decision:
        """Withdraws a person's newest word about an image; what was said before it holds again.

        Returns:
            The withdrawn decision.

        Raises:
            LabelStoreError: that person has said nothing about the image, or has withdrawn it all.
        """
        with self._file.transaction() as db:
            standing = [(p, d) for p, d in _standing(db, "decisions", image) if d.who == who and d.source == "person"]
            if not standing:
                raise LabelStoreError(
                    got=f"no decision of {who} about image {image[:12]}",
                    allowed="an image that this person has decided about",
                    action="run: streetvision review status",
                    image=image,
                    who=who,
                )
            position, decision = standing[-1]
            _insert(db, "decisions", _withdrawal(decision, when), withdraws=position)
        return decision

    def withdraw(self, images: Iterable[str], who: str, when: datetime) -> int:
        """Withdraws everything that a program said about images, as when its certificate no longer holds.

        Returns:
            How many decisions were withdrawn.
        """
        wanted = set(images)
        standing = [(p, d) for p, d in self._standing("decisions", None) if d.who == who and d.image in wanted]
        if standing:
            with self._file.transaction() as db:
                for position, decision in standing:
                    _insert(db, "decisions", _withdrawal(decision, when), withdraws=position)
        return len(standing)

    def last_of(self, who: str) -> Decision | None:
        """The decision that a person recorded last and has not withdrawn."""
        return next((d for _, d in reversed(self._standing("decisions", None)) if d.who == who), None)

    def find_image(self, start: str, who: str) -> str:
        """The sha256 that begins with `start` among what a person decided about; empty: that of the last decision.

        Raises:
            LabelStoreError: there is none, or there are several.
        """
        last = self.last_of(who)
        own = {d.image for d in self.decisions() if d.who == who and d.image.startswith(start)} if start else set()
        if not start and last is not None:
            return last.image
        if len(own) != 1:
            raise LabelStoreError(
                got=f"{len(own)} images of {who} that begin with {start!r}" if start else f"no decision of {who}",
                allowed="the sha256, or enough of its beginning, of an image that this person has decided about",
                action="run: streetvision review export sheet.csv, which has a column image",
            )
        return own.pop()

    def labels(self, upto: int | None = None) -> dict[str, Label]:
        """The label that holds for each image, by its sha256.

        Args:
            upto: of people and callers only decisions up to this position count, as a night's snapshot wants it; what
                programs say, the night records itself, and it counts whenever it was recorded. None: all.
        """
        return resolve_labels(self.decisions(upto))

    def decisions(self, upto: int | None = None) -> list[Decision]:
        """Every decision that was not withdrawn, in the order of recording; `upto` as of `labels`."""
        return [d for _, d in self._standing("decisions", upto)]

    def unknown(self) -> list[Decision]:
        """Decisions about images that were not known when they were recorded."""
        return [d for _, d in self._standing("unknown_decisions", None)]

    def adopt_known(self, is_known: Callable[[str], bool]) -> int:
        """Moves decisions whose image has turned up to the others; returns how many."""
        waiting = [d for d in self.unknown() if is_known(d.image)]
        if not waiting:
            return 0
        with self._file.transaction() as db:
            for decision in waiting:
                self._add(db, "decisions", decision)
                db.execute("DELETE FROM unknown_decisions WHERE image = ?", (decision.image,))
        return len(waiting)

    def position(self) -> int:
        """Number of the newest record, 0 in an empty store; withdrawals count too."""
        rows = self._file.query("SELECT max(position) FROM decisions")
        return int(rows[0][0] or 0) if rows else 0

    def people_since(self, position: int) -> int:
        """How many decisions of people and callers, withdrawals included, came after a position."""
        rows = self._file.query(
            "SELECT count(*) FROM decisions WHERE position > ? AND source IN ('person', 'caller')", (position,)
        )
        return int(rows[0][0]) if rows else 0

    def forget(self, images: Iterable[str]) -> int:
        """Deletes everything that was ever said about images, for people who want their pictures forgotten.

        The one exception to append-only: a decision holds the image's digest, names and words. Positions are not given
        twice, so a night's snapshot goes on meaning the same.

        Returns:
            How many records went.
        """
        gone = 0
        wanted = sorted(set(images))
        if not wanted or not self.path.exists():
            return 0
        with self._file.transaction() as db:
            db.execute("PRAGMA secure_delete = ON")
            for table in ("decisions", "unknown_decisions"):
                for image in wanted:
                    gone += db.execute(f"DELETE FROM {table} WHERE image = ?", (image,)).rowcount
        return gone

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _standing(self, table: _Table, upto: int | None) -> list[tuple[int, Decision]]:
        limit = 2**62 if upto is None else upto
        counts = "(position <= ? OR source IN ('renderer', 'machine'))"
        statement = f"SELECT position, {_COLUMNS}, withdraws FROM {table} WHERE {counts} ORDER BY position"
        return _without_withdrawn(self._file.query(statement, (limit,)))

    @staticmethod
    def _add(db: sqlite3.Connection, table: _Table, decision: Decision) -> bool:
        """Whether it was added."""
        standing = [d for _, d in _standing(db, table, decision.image)]
        if decision in standing:
            return False
        same = [d for d in standing if d.source == decision.source and d.only_tags == decision.only_tags]
        # A sheet imported twice repeats the newest word; after somebody else's word the repetition means something.
        # For tags any repetition is one, whoever spoke last.
        holding = same if decision.only_tags else sorted(same, key=lambda d: d.when)[-1:]
        if decision.content in [d.content for d in holding]:
            return False
        _insert(db, table, _to_record(decision))
        return True


def label_store_path(settings: Settings) -> Path:
    """The workspace's label store."""
    return settings.paths.resolve("data") / "labels.sqlite"


def _standing(db: sqlite3.Connection, table: _Table, image: str) -> list[tuple[int, Decision]]:
    statement = f"SELECT position, {_COLUMNS}, withdraws FROM {table} WHERE image = ? ORDER BY position"
    return _without_withdrawn(db.execute(statement, (image,)).fetchall())


def _without_withdrawn(rows: Sequence[Sequence[Any]]) -> list[tuple[int, Decision]]:
    withdrawn = {row[-1] for row in rows if row[-1] is not None}
    return [(row[0], _from_record(row[1:-1])) for row in rows if row[-1] is None and row[0] not in withdrawn]


def _withdrawal(decision: Decision, when: datetime) -> tuple[Any, ...]:
    return _to_record(Decision(decision.image, None, decision.source, decision.who, when, "withdrawn"))


def _insert(db: sqlite3.Connection, table: _Table, record: tuple[Any, ...], withdraws: int | None = None) -> None:
    marks = ", ".join("?" * (len(record) + 1))
    db.execute(f"INSERT INTO {table} ({_COLUMNS}, withdraws) VALUES ({marks})", (*record, withdraws))


def _to_record(d: Decision) -> tuple[Any, ...]:
    when = d.when.isoformat(timespec="microseconds")
    return (d.image, d.label, d.source, d.who, when, d.why, json.dumps(d.tags), d.query, int(d.only_tags))


def _from_record(record: Sequence[Any]) -> Decision:
    image, label, source, who, when, why, tags, query, only_tags = record
    moment = datetime.fromisoformat(when)
    return Decision(image, label, source, who, moment, why, tuple(json.loads(tags)), query, bool(only_tags))
