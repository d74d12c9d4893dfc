"""How long one image takes while there is work: what a full queue will take, and whether it is worth to join it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

_REMEMBERED: Final = 32
"""Images; several batches, which end all at once."""
_LEAST: Final = 4
"""Fewer say nothing."""


class Pace:
    """Seconds per image, over the last images, without the time in which nothing was to do.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._worked = 0.0
        self._since: float | None = None
        self._done: deque[float] = deque(maxlen=_REMEMBERED)

    def begin(self) -> None:
        """Notes that there is work."""
        self._since = self._clock()

    def end(self) -> None:
        """Notes that there is none."""
        self._worked, self._since = self._now(), None

    def note(self) -> None:
        """Notes that an image is done."""
        self._done.append(self._now())

    def seconds_per_image(self) -> float:
        """What an image takes; 0 if that is not known yet. It grows while nothing gets done."""
        if len(self._done) < _LEAST:
            return 0.0
        return (self._now() - self._done[0]) / (len(self._done) - 1)

    def _now(self) -> float:
        return self._worked if self._since is None else self._worked + self._clock() - self._since
