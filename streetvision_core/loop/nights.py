"""Nights: which queries and which decisions each of them works on.

A night handles the queries logged since the end of the last finished night up to its own start. Numbers of queries
decide, not dates: whatever the time zone, and whichever nights were missed, each query belongs to one night.

* `data/days/<night>/snapshot.json`: what a night that has begun works on, whatever arrives meanwhile
* `data/nights.jsonl`: the finished nights; the last one that moves the cursor is where the next night begins

Example:
    >>> Snapshot("2026-11-24", 11, 10, 0, (), "2026-11-24T02:00:00+00:00", "a1").has_queries
    False
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import structlog

from streetvision_core.errors import LoopError
from streetvision_core.labels import LabelStore, label_store_path
from streetvision_core.loop._old_days import last_mined_query
from streetvision_core.loop.workspace import parse_night
from streetvision_core.mining.querylog import QueryLog, QueryRow
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_json, atomic_write_text

logger = structlog.get_logger(__name__)

NIGHTS_FILE: Final = "nights.jsonl"
SNAPSHOT_FILE: Final = "snapshot.json"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a night works on.

    Attributes:
        night: its name and the name of its folders: the UTC date of its start, or `<since>_to_<until>` of past days.
        first_query_id: the first query's number in the log.
        last_query_id: the last one's; below the first where no query came.
        label_position: the label store's position; later decisions count the next night.
        days: the UTC days on which its queries came, `YYYY-MM-DD`.
        started_at: when it began, ISO time, UTC.
        log: the identity of the log that the numbers belong to.
        moves_cursor: False for past days that were asked for by name.
    """

    night: str
    first_query_id: int
    last_query_id: int
    label_position: int
    days: tuple[str, ...]
    started_at: str
    log: str
    moves_cursor: bool = True

    @property
    def has_queries(self) -> bool:
        """Whether any query came."""
        return bool(self.days)

    def queries(self, log: QueryLog) -> list[QueryRow]:
        """Its queries, in the order they were logged; the same ones whenever it is asked."""
        return log.rows_between(self.first_query_id, self.last_query_id, self.days)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; raises TypeError or KeyError on foreign data."""
        return cls(**{**data, "days": tuple(data["days"])})


@dataclass(frozen=True, slots=True)
class Nights:
    """The nights of a workspace.

    Attributes:
        data: the workspace's data folder.
    """

    data: Path

    def finished(self) -> list[Snapshot]:
        """The finished nights in the order in which they ended; of a night that ran twice, the later form."""
        path = self.data / NIGHTS_FILE
        found: dict[str, Snapshot] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
            snapshot = _parse(line, path, f"remove line {number} of {path}: its queries are then handled once more")
            found.pop(snapshot.night, None)
            found[snapshot.night] = snapshot
        return list(found.values())

    def last(self) -> Snapshot | None:
        """The finished night that the next one follows."""
        return next((night for night in reversed(self.finished()) if night.moves_cursor), None)

    def begun(self, night: str) -> Snapshot | None:
        """What a night works on; None where it never began."""
        path = self._snapshot_file(night)
        if not path.exists():
            return None
        return _parse(
            path.read_text(encoding="utf-8"), path, f"remove {path}; the next streetvision daily writes it again"
        )

    def record_begun(self, snapshot: Snapshot) -> None:
        """Keeps what the night works on. An unchanged snapshot keeps its file, so that its steps count as unchanged."""
        before = self.begun(snapshot.night)
        if before is None or replace(before, started_at=snapshot.started_at) != snapshot:
            atomic_write_json(self._snapshot_file(snapshot.night), snapshot.to_dict())

    def record_finished(self, snapshot: Snapshot) -> None:
        """Notes that the night is finished; from now on the next one begins behind it."""
        known = {one.night: one for one in self.finished()}.get(snapshot.night)
        if known is not None and replace(known, started_at=snapshot.started_at) == snapshot:
            return  # it ran again and nothing was new
        path = self.data / NIGHTS_FILE
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        atomic_write_text(path, f"{before}{json.dumps(snapshot.to_dict(), sort_keys=True)}\n")

    def _snapshot_file(self, night: str) -> Path:
        return self.data / "days" / night / SNAPSHOT_FILE


def next_snapshot(
    log: QueryLog, labels: LabelStore, nights: Nights, night: str, *, now: dt.datetime, fresh: bool = False
) -> Snapshot:
    """What the night works on that starts now.

    A night that began and did not finish goes on with what it had. One that finished takes in what came since.

    Args:
        log: the query log.
        labels: the label store.
        nights: the nights so far.
        night: the name of this one, the UTC date of its start.
        now: the time now.
        fresh: an unfinished night takes in what came since, too.
    """
    finished = {one.night: one for one in nights.finished()}
    last, begun, known = nights.last(), nights.begun(night), finished.get(night)
    if begun is not None and known is None and begun.log == log.identity() and not fresh:
        return begun
    position = labels.position()
    if known is not None and not labels.people_since(known.label_position):
        position = known.label_position  # what the night itself has recorded is no news to it
    if known is not None and known != last:
        return replace(known, label_position=position, started_at=_iso(now))
    if known is not None and known.log == log.identity():
        first = known.first_query_id
    else:
        first = _cursor(log, nights, last) + 1
    upto = log.last_id()
    days = log.days_between(first, upto)
    return Snapshot(night, first, upto, position, days, _iso(now), log.identity())


def find_snapshot(settings: Settings, night: str = "") -> Snapshot:
    """What a night works on, or would work on; nothing is kept.

    Where it has not begun: today's name stands for the night that would begin now, another day for the queries of that
    day.

    Args:
        settings: the workspace.
        night: its name; empty means the night of today, UTC.

    Raises:
        LoopError: no night's name, or a day that has not begun.
    """
    until, name = parse_night(night)
    since = parse_night(name.partition("_to_")[0])[0]
    data, now = settings.paths.resolve("data"), dt.datetime.now(dt.UTC)
    if (begun := Nights(data).begun(name)) is not None:
        return begun
    with QueryLog(data / "queries") as log, LabelStore(label_store_path(settings)) as labels:
        if since == until == now.date():
            return next_snapshot(log, labels, Nights(data), name, now=now)
        return replace(past_snapshot(log, labels, since, until, now=now), night=name)


def past_snapshot(log: QueryLog, labels: LabelStore, since: dt.date, until: dt.date, *, now: dt.datetime) -> Snapshot:
    """The queries of past UTC days, both ends included, whichever night handled them; the cursor stays where it is.

    Raises:
        LoopError: a day that has not begun, or the ends the wrong way round.
    """
    check_past(until, now)
    if since > until:
        raise LoopError(
            got=f"--since {since} and --until {until}",
            allowed="the older day as --since",
            action=f"write --since {until} --until {since}",
        )
    asked = [(since + dt.timedelta(days=i)).isoformat() for i in range((until - since).days + 1)]
    upto = log.last_id()
    days = log.days_between(1, upto, asked)
    name = f"{since}_to_{until}"
    return Snapshot(name, 1, upto, labels.position(), days, _iso(now), log.identity(), moves_cursor=False)


def check_past(day: dt.date, now: dt.datetime) -> None:
    """Makes sure that a day has begun; raises LoopError otherwise."""
    today = now.astimezone(dt.UTC).date()
    if day > today:
        raise LoopError(
            got=f"the day {day}, which has not begun",
            allowed=f"days up to {today}, which is today in UTC",
            action="name a past day, or leave --day out for the night that is due",
            day=day.isoformat(),
        )


def _parse(text: str, path: Path, action: str) -> Snapshot:
    try:
        return Snapshot.from_dict(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        allowed = "the file as the loop wrote it"
        raise LoopError(got=f"{path.name}: {error}", allowed=allowed, action=action, path=str(path)) from error


def _cursor(log: QueryLog, nights: Nights, last: Snapshot | None) -> int:
    """The last query that a finished night has handled."""
    if last is None:
        return last_mined_query(log, nights.data / "days")
    if last.log != log.identity():
        logger.warning("another_query_log", night=last.night, action="the night takes in the whole of it")
        return 0
    return last.last_query_id


def _iso(now: dt.datetime) -> str:
    return now.astimezone(dt.UTC).isoformat(timespec="seconds")
