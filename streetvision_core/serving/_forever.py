"""Background tasks that nothing ends but their server: what one raises is logged and counted, and it starts again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from prometheus_client import Counter

FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 30.0
_log = structlog.get_logger(__name__)


async def forever(name: str, work: Callable[[], Awaitable[None]], failures: Counter, seconds: float = 0.0) -> None:
    """Does a piece of work again and again; cancel it to end.

    Args:
        name: for the log and the metric's label `task`.
        work: one round; may itself take for ever.
        failures: counts rounds that raised.
        seconds: pause between two rounds. After one that raised it is longer, growing with each in a row.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            await work()
            pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(seconds)
        except Exception:  # whatever it is, the next round may go well
            failures.labels(name).inc()
            _log.exception("background task failed and starts again", task=name, again_in_seconds=round(pause, 1))
            await asyncio.sleep(max(pause, seconds))
            pause = min(2 * pause, MAX_PAUSE_SECONDS)
