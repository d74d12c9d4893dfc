"""How far a long command is: a line on stderr every few seconds, with a terminal or without."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from streetvision_core.cli._output import say

EVERY_SECONDS: Final = 5.0


class Pace:
    """Says how many of how many are done, how fast, and how long the rest takes.

    Args:
        what: done to them, for instance `answered`.
        total: how many there are; None while nobody knows.
        every_seconds: between two lines.
    """

    def __init__(self, what: str, total: Callable[[], int | None], every_seconds: float = EVERY_SECONDS) -> None:
        self._what, self._total, self._every = what, total, every_seconds
        self._began = self._said = time.monotonic()

    def at(self, done: int) -> None:
        """Tells how many are done; a line is said if it is time for one."""
        now = time.monotonic()
        if now - self._said < self._every or not done:
            return
        self._said, speed = now, done / (now - self._began)
        total = self._total()
        rest = "" if total is None else f" of {total}"
        left = "" if total is None or total <= done else f", about {(total - done) / speed:.0f} s to go"
        say(f"{self._what} {done}{rest}, {speed:.1f} a second{left}")


@contextmanager
def waiting_for(what: str, after_seconds: float = 0.5) -> Iterator[None]:
    """Says what is waited for, if it takes long enough for a person to wonder."""
    timer = threading.Timer(after_seconds, lambda: say(f"{what}…"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
