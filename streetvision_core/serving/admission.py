"""Who may come in: a bounded number of images, and a bounded number of bytes, at any time, and a fair share of both."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

from streetvision_core.errors import OverloadedError
from streetvision_core.serving._pace import Pace

SHARE: Final = 1 / 3
"""Of all places, and of all bytes, for one caller while others wait; of the bytes twice as much while none does."""
WAIT_SECONDS: Final = 3.0
"""So long after a caller was here others leave room for it: one that was refused comes again."""
_MIN_RETRY_SECONDS: Final = 1
_MAX_RETRY_SECONDS: Final = 30


class Places:
    """A bounded number of images that are admitted and not yet answered.

    Args:
        limit: how many.
        clock: gives seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.used = 0
        self._clock = clock
        self._pace = Pace(clock)
        self._held: dict[str, int] = {}
        self._latest: tuple[str, float] = ("", -math.inf)
        self._before: tuple[str, float] = ("", -math.inf)
        """The caller that asked last, and the last one that was another."""

    @contextmanager
    def take(self, n: int, caller: str = "", seconds: float = math.inf) -> Iterator[None]:
        """Holds n places, all or none; they are free again on leaving, whatever happens.

        Args:
            n: how many images.
            caller: whose; one that is not known has no share of its own.
            seconds: how long the caller waits for all of them.

        Raises:
            OverloadedError: fewer than n are free, they are more than the caller's share while others wait, or they
                would not be answered in time.
        """
        if n:
            self._check(n, caller, seconds)
            if not self.used:
                self._pace.begin()
            self.used += n
            self._held[caller] = self._held.get(caller, 0) + n
        try:
            yield
        finally:
            if n:
                self.used -= n
                left = self._held.pop(caller) - n
                if left:
                    self._held[caller] = left
                if not self.used:
                    self._pace.end()

    def note_done(self) -> None:
        """Notes that an image was answered, for `retry` and for what is still worth to wait."""
        self._pace.note()

    def retry(self) -> int:
        """Whole seconds after which those now waiting will probably be answered."""
        expected = math.ceil(self.used * self._pace.seconds_per_image())
        return min(max(expected, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)

    def _check(self, n: int, caller: str, seconds: float) -> None:
        others = self._others_wait(caller)
        if self.used + n > self.limit:
            raise overloaded(f"{n} more images while {self.used} are waiting", f"{self.limit} at a time", self.retry())
        own = self._held.get(caller, 0)
        share = max(1, int(self.limit * SHARE))
        if caller and own and own + n > share and others:
            raise overloaded(
                f"{n} more images of a caller that has {own} waiting",
                f"{share} at a time while others wait",
                _MIN_RETRY_SECONDS,
            )
        expected = (self.used + n) * self._pace.seconds_per_image()
        if expected > seconds and self.used + n > 1:
            raise overloaded(
                f"{n} images that would take {expected:.1f} s with the {self.used} before them",
                f"what can be answered within {seconds:.1f} s",
                max(_MIN_RETRY_SECONDS, math.ceil(min(expected - seconds, _MAX_RETRY_SECONDS))),
            )

    def _others_wait(self, caller: str) -> bool:
        now = self._clock()
        if self._latest[0] != caller:
            self._before = self._latest
        self._latest = (caller, now)
        return self._before[1] > now - WAIT_SECONDS or len(self._held) > (caller in self._held)


class ByteBudget:
    """A bound on the bodies of all requests together. What has arrived counts, not what was promised.

    Args:
        limit: bytes.
        least: bytes that any caller may hold, whatever its share; one request's.
    """

    def __init__(self, limit: int, least: int = 0) -> None:
        self.limit = limit
        self.used = 0
        self._least = least
        self._held: dict[str, int] = {}

    def reserve(self, caller: str = "") -> Reservation:
        """An empty reservation; use it as a context manager."""
        return Reservation(self, caller)

    def _check(self, more: int, caller: str) -> None:
        own = self._held.get(caller, 0)
        share = self.limit * SHARE * (1 if self.used > own else 2)
        if self.used + more > self.limit:
            raise overloaded(
                f"{more} more bytes while {self.used} are held",
                f"{self.limit} bytes of requests at a time",
                _MIN_RETRY_SECONDS,
            )
        if caller and own + more > max(share, self._least):
            raise overloaded(
                f"{more} more bytes of a caller that holds {own}",
                f"{share:.0f} bytes of one caller",
                _MIN_RETRY_SECONDS,
            )

    def _take(self, more: int, caller: str) -> None:
        self._check(more, caller)
        self.used += more
        self._held[caller] = self._held.get(caller, 0) + more

    def _give_back(self, size: int, caller: str) -> None:
        self.used -= size
        left = self._held.pop(caller, 0) - size
        if left:
            self._held[caller] = left


class Reservation:
    """One request's share of a `ByteBudget`; given back on leaving."""

    def __init__(self, budget: ByteBudget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self.size = 0

    def expect(self, size: int) -> None:
        """Reserves nothing, but refuses what there would be no room for now.

        Raises:
            OverloadedError: as for `grow_to`.
        """
        self._budget._check(max(0, size - self.size), self._caller)

    def grow_to(self, size: int) -> None:
        """Makes the reservation at least `size` bytes.

        Raises:
            OverloadedError: the budget, or the caller's share of it, is spent; the reservation stays as it was.
        """
        more = max(0, size - self.size)
        self._budget._take(more, self._caller)
        self.size += more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget._give_back(self.size, self._caller)
        self.size = 0


def overloaded(got: str, allowed: str, retry_after_seconds: int) -> OverloadedError:
    """The error for a full queue."""
    return OverloadedError(
        got=got,
        allowed=allowed,
        action=f"send the request again after {retry_after_seconds} s",
        retry_after_seconds=retry_after_seconds,
    )
