"""Whether the served probabilities are still spread as the champion's were when it was made.

The distance is total variation: the share of answers that would have to move to another bin for the two to agree. Even
without any drift n answers are never spread exactly so; `threshold` is what that chance alone exceeds once in a hundred
times, found by drawing from the reference. Only a distance above it means something, and then only that the street, the
callers or the share of road work have changed, never that answers are wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from streetvision_core.scoring.shares import EDGES, shares_of

__all__ = ["EDGES", "Drift", "distance", "shares_of", "threshold"]

WINDOW: Final = 1000
"""Answers that are compared, the newest ones."""
STEP: Final = 100
"""The comparison is made anew after so many answers, and not before as many are there."""
FALSE_ALARMS: Final = 0.01
_DRAWS: Final = 4000


def distance(shares: Sequence[float], reference: Sequence[float]) -> float:
    """Total variation between two distributions over the bins, in [0, 1]."""
    return float(np.abs(np.subtract(shares, reference)).sum() / 2)


@lru_cache(maxsize=64)
def threshold(reference: tuple[float, ...], n: int) -> float:
    """The distance that n answers from the reference itself exceed with probability `FALSE_ALARMS`."""
    drawn = np.random.default_rng(0).multinomial(n, np.array(reference) / sum(reference), _DRAWS) / n
    return float(np.quantile(np.abs(drawn - np.array(reference)).sum(axis=1) / 2, 1 - FALSE_ALARMS))


class Drift:
    """A running comparison of one version's answers.

    Attributes:
        value: the distance; None until enough answers are there, or without a reference.
        limit: what chance alone exceeds once in a hundred times.
    """

    def __init__(self) -> None:
        self.value: float | None = None
        self.limit: float | None = None
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._new = 0

    def note(self, p: float, reference: tuple[float, ...]) -> bool:
        """Notes an answer; True if the comparison was made anew.

        Args:
            p: its probability.
            reference: the version's own shares; without them nothing is compared.
        """
        self._recent.append(p)
        self._new += 1
        if self._new < STEP or len(reference) != len(EDGES) + 1:
            return False
        self._new = 0
        self.value = distance(shares_of(self._recent), reference)
        self.limit = threshold(reference, len(self._recent))
        return True
