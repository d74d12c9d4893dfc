"""Who may come in: a bounded number of images, and a bounded number of bytes, at any time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from streetvision_core.errors import OverloadedError

_MEMORY: Final = 0.9
"""Weight of the past in the moving average of seconds per image."""
_MIN_RETRY_SECONDS: Final = 1
_MAX_RETRY_SECONDS: Final = 30


class Places:
    """A bounded number of images that are admitted and not yet answered.

    Args:
        limit: how many.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._seconds_per_image = 0.0

    @contextmanager
    def take(self, n: int) -> Iterator[None]:
        """Holds n places, all or none; they are free again on leaving, whatever happens.

        Raises:
            OverloadedError: fewer than n are free.
        """
        if self.used + n > self.limit:
            raise overloaded(f"{n} more images while {self.used} are waiting", f"{self.limit} at a time", self.retry())
        self.used += n
        try:
            yield
        finally:
            self.used -= n

    def learn(self, seconds: float) -> None:
        """Notes what one image took, for `retry`."""
        past = self._seconds_per_image or seconds
        self._seconds_per_image = _MEMORY * past + (1 - _MEMORY) * seconds

    def retry(self) -> int:
        """Whole seconds after which those now waiting will probably be answered."""
        expected = math.ceil(self.used * self._seconds_per_image)
        return min(max(expected, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)


class ByteBudget:
    """A bound on the bodies of all requests together.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def reserve(self) -> Reservation:
        """An empty reservation; use it as a context manager."""
        return Reservation(self)


class Reservation:
    """One request's share of a `ByteBudget`; given back on leaving."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow_to(self, size: int) -> None:
        """Makes the reservation at least `size` bytes.

        Raises:
            OverloadedError: the budget is spent; the reservation stays as it was.
        """
        more = max(0, size - self.size)
        if self._budget.used + more > self._budget.limit:
            raise overloaded(
                f"{more} more bytes while {self._budget.used} are held",
                f"{self._budget.limit} bytes of requests at a time",
                _MIN_RETRY_SECONDS,
            )
        self._budget.used += more
        self.size += more

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.used -= self.size
        self.size = 0


def overloaded(got: str, allowed: str, retry_after_seconds: int) -> OverloadedError:
    """The error for a full queue."""
    return OverloadedError(
        got=got,
        allowed=allowed,
        action=f"send the request again after {retry_after_seconds} s",
        retry_after_seconds=retry_after_seconds,
    )
