"""The demo's traffic: a simulated day of rendered queries, sent to a server and logged before the night begins.

It runs in a process of its own, so that the loop, which lives for the whole night, loads no model.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
import uuid
from typing import Final

from streetvision_core.errors import LoopError, LoopStoppedError
from streetvision_core.loop.environment import kernel_environment
from streetvision_core.loop.signals import Stop
from streetvision_core.settings import Settings

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


def _main(profile: str, date: str) -> None:
    from streetvision_core.learning.first import record_first_of
    from streetvision_core.loop.tasks.day import open_day
    from streetvision_core.loop.tasks.queries import answer_demo_stream

    day = open_day(profile, date)
    if day.registry.serving() is None:
        record_first_of(day.settings, day.registry)
    answer_demo_stream(day)


if __name__ == "__main__":
    _main(*sys.argv[1:])
