"""The day's queries: rendered ones, sent to a running server and logged with the truth that only we know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from rich.progress import track

from streetvision_core.errors import LoopError
from streetvision_core.learning.versions import serving_version
from streetvision_core.loop.tasks.day import Day
from streetvision_core.mining.querylog import NewQuery, QueryRow
from streetvision_core.mining.stream import StreamQuery, day_stream
from streetvision_core.serving.caller import Caller
from streetvision_core.serving.run import running

_BATCH: Final = 16
_ORIGINS: Final = ("rendered-drive", "rendered-scene")


def answer_demo_stream(day: Day) -> int:
    """Sends the simulated day's queries to a server and logs its answers; goes on where a killed run stopped.

    The server is the one that `streetvision serve` runs, gateway and model server, with the champion; it does not log
    these queries itself, because they belong to a simulated day and have a known truth.

    Returns:
        How many queries were answered now; 0 when the day had been answered before.
    """
    total = day.settings.loop.queries_per_day
    done = sum(row.origin in _ORIGINS for row in day.log.rows(day.date))
    if done >= total:
        return 0
    serving_version(day.registry)
    stream = islice(day_stream(day.number, total, day.settings.seed), done, None)
    answered = done
    with running(day.settings) as url, Caller(url) as caller:
        for batch in track(list(_batches(stream)), description="answering the day's queries"):
            verdicts = caller.verdicts([query.jpeg_bytes for query in batch])
            times = [_received_at(day, answered + i, total) for i in range(len(batch))]
            day.log.append_many(
                [
                    NewQuery(q.jpeg_bytes, verdict, q.era, q.group, q.origin, at, q.truth, q.modes)
                    for q, verdict, at in zip(batch, verdicts, times, strict=True)
                ]
            )
            answered += len(batch)
    return answered - done


def queries_of(day: Day, *, demo: bool = True) -> list[QueryRow]:
    """The queries of the night, as its snapshot names them; without one, the day's logged queries.

    Args:
        day: the day.
        demo: answer the demo stream first when the day has none, so that each notebook runs alone.

    Raises:
        LoopError: there is no snapshot, there are none, and `demo` is off.
    """
    if day.snapshot is not None:
        return day.snapshot.queries(day.log)
    rows = day.log.rows(day.date)
    unfinished = any(row.origin in _ORIGINS for row in rows) or not rows
    if demo and unfinished and answer_demo_stream(day):
        rows = day.log.rows(day.date)
    if not rows:
        raise LoopError(
            got=f"no logged query on {day.date}",
            allowed="at least one",
            action="point a server at this workspace, choose another --day, or add --demo for a rendered day",
        )
    return rows


def _received_at(day: Day, number: int, total: int) -> dt.datetime:
    """Spread over the day; no query of a simulated day comes after midnight."""
    start = dt.datetime.combine(day.date, dt.time(), dt.UTC)
    return start + dt.timedelta(seconds=86_400 * (number + 0.5) / total)


def _batches(stream: Iterable[StreamQuery]) -> Iterator[list[StreamQuery]]:
    iterator = iter(stream)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
