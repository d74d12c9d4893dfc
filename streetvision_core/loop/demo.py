"""The demo's traffic: a simulated day of rendered queries, sent to a server and logged before the night begins.

It runs in a process of its own, so that the loop, which lives for the whole night, loads no model.
"""

from __future__ import annotations

import atexit
import datetime as dt
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.progress import track

from streetvision_core.errors import LoopError, LoopStoppedError
from streetvision_core.images.decode import decode_image
from streetvision_core.loop.environment import kernel_environment
from streetvision_core.loop.signals import Stop
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.mining.stream import StreamQuery, day_stream
from streetvision_core.settings import Decode, Settings, load_settings

if TYPE_CHECKING:
    from streetvision_core.cascade.engine import Cascade

FIRST_DAY: Final = dt.date(2026, 1, 1)
"""Day 0 of the demo stream."""
RENDERED_ORIGINS: Final = ("rendered-drive", "rendered-scene")
_EXAMPLE_DAY: Final = 2900
"""A day that no loop will reach."""
_BATCH: Final = 16

_POLL_SECONDS: Final = 0.2
_END_SECONDS: Final = 20.0
_STDERR: Final = 2
"""Its progress is nothing that `--json` may print."""


def send_demo_day(settings: Settings, date: dt.date, stop: Stop) -> None:
    """Sends what is missing of the simulated day's queries; those of an earlier run are not sent again.

    Args:
        settings: the profile.
        date: the simulated day.
        stop: asked between polls.

    Raises:
        LoopStoppedError: a signal came; what was answered is logged.
        LoopError: the queries could not be answered.
    """
    command = [sys.executable, "-m", "streetvision_core.loop.demo", settings.profile, date.isoformat()]
    environment = kernel_environment(settings, uuid.uuid4().hex)
    child = subprocess.Popen(command, env=environment, cwd=settings.paths.home, stdout=_STDERR)
    while child.poll() is None and stop.signal is None:
        time.sleep(_POLL_SECONDS)
    if stop.signal is not None:
        _end(child)
        raise LoopStoppedError(
            got=f"signal {stop.signal} while the demo's queries were answered",
            allowed="time until the night is finished",
            action=f"run again to go on: streetvision daily --demo --day {date}",
        )
    if child.returncode:
        raise LoopError(
            got=f"the demo's queries were not answered (exit code {child.returncode}; the reason stands above)",
            allowed="a server that starts and answers",
            action="run: streetvision doctor",
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def answer_demo_stream(settings: Settings, date: dt.date, log: QueryLog) -> int:
    """Sends the simulated day's queries to a server and logs its answers; goes on where a killed run stopped.

    The server is the one that `streetvision serve` runs, gateway and model server, with the version that serves; it
    does not log these queries itself, because they belong to a simulated day and have a known truth.

    Returns:
        How many queries were answered now; 0 when the day had been answered before.
    """
    from streetvision_core.serving.caller import Caller
    from streetvision_core.serving.run import running

    total = settings.loop.queries_per_day
    done = sum(row.origin in RENDERED_ORIGINS for row in log.rows(date))
    if done >= total:
        return 0
    stream = islice(day_stream(day_number(date), total, settings.seed), done, None)
    answered = done
    with running(settings) as url, Caller(url) as caller:
        for batch in track(list(_batches(stream)), description="answering the day's queries"):
            verdicts = caller.verdicts([query.jpeg_bytes for query in batch])
            times = [_received_at(date, answered + i, total) for i in range(len(batch))]
            log.append_many(
                [
                    NewQuery(q.jpeg_bytes, verdict, q.era, q.group, q.origin, at, q.truth, q.modes)
                    for q, verdict, at in zip(batch, verdicts, times, strict=True)
                ]
            )
            answered += len(batch)
    return answered - done


def example_queries(cascade: Cascade, count: int, seed: int, limits: Decode) -> QueryLog:
    """A few rendered queries, answered in this process, in a log that ends with it: for notebooks without traffic.

    Args:
        cascade: answers.
        count: how many.
        seed: another seed renders others.
        limits: of decoding.
    """
    folder = Path(tempfile.mkdtemp(prefix="streetvision-examples-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    log, now = QueryLog(folder), dt.datetime.now(dt.UTC)
    for batch in _batches(islice(day_stream(_EXAMPLE_DAY, count, seed), count)):
        verdicts = cascade.predict([decode_image(q.jpeg_bytes, q.group, limits) for q in batch])
        log.append_many(
            [
                NewQuery(q.jpeg_bytes, verdict, q.era, q.group, q.origin, now, q.truth, q.modes)
                for q, verdict in zip(batch, verdicts, strict=True)
            ]
        )
    return log


def day_number(date: dt.date) -> int:
    """Days since the project's first, which choose what is rendered: no two days render the same scenes."""
    return (date - FIRST_DAY).days


def _received_at(date: dt.date, number: int, total: int) -> dt.datetime:
    """Spread over the day; no query of a simulated day comes after midnight."""
    start = dt.datetime.combine(date, dt.time(), dt.UTC)
    return start + dt.timedelta(seconds=86_400 * (number + 0.5) / total)


def _batches(stream: Iterable[StreamQuery]) -> Iterator[list[StreamQuery]]:
    iterator = iter(stream)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _main(profile: str, date: str) -> None:
    from streetvision_core.learning.first import record_first_of
    from streetvision_core.registry.versions import open_registry

    settings = load_settings(profile)
    registry = open_registry(settings)
    if registry.serving() is None:
        record_first_of(settings, registry)
    with QueryLog(settings.paths.resolve("data") / "queries") as log:
        answer_demo_stream(settings, dt.date.fromisoformat(date), log)


if __name__ == "__main__":
    _main(*sys.argv[1:])
