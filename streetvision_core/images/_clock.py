"""Times that go on where those of a file start again, as where parts of a recording were put behind one another."""

from __future__ import annotations

from typing import Final

BROADCAST: Final = frozenset({"mpegts", "mpeg"})
BACK_SECONDS: Final = 0.5
"""Pictures are stored out of order by less."""
AHEAD_SECONDS: Final = 10.0
"""What FFmpeg itself takes for another clock in broadcast formats."""


class Clock:
    """Times that go on where a file's own start again.

    Args:
        container: FFmpeg's name; only files of broadcast formats can be put behind one another, and only in them a time
            that leaps is another clock. Elsewhere a leap ahead is a pause.
        step_seconds: between two pictures, across a join.
    """

    def __init__(self, container: str, step_seconds: float) -> None:
        self._broadcast = any(name in BROADCAST for name in container.split(","))
        self._step = step_seconds
        self._latest: float | None = None
        self._offset = 0.0
        self.joins = 0

    def at(self, seconds: float) -> float:
        """The time on this clock of a moment of the file's own."""
        if self._broadcast and self._latest is not None:
            jump = seconds - self._latest
            if not -BACK_SECONDS <= jump <= AHEAD_SECONDS:
                self._offset -= jump - self._step
                self.joins += 1
        self._latest = seconds
        return seconds + self._offset
