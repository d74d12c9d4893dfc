"""How far a figure can be trusted after a test set has been looked at many times.

Whoever chooses the next model with the last figures in mind adapts to the set. Two results bound the harm:

* Description length (Dwork et al., Generalization in Adaptive Data Analysis and Holdout Reuse, NIPS 2015,
  arXiv 1506.02629): if all that has been shown fits into B bits, whatever is chosen next is one of 2^B choices, so by
  Hoeffding and a union bound its mean on n independent items is off by at most
  sqrt((B ln 2 + ln(2 / delta)) / 2n) with probability 1 - delta.
* The Ladder (Blum and Hardt, ICML 2015, arXiv 1502.04585): show a new figure only when it beats the best one by a
  step, else say "not better". A look that brings nothing then costs one bit.

Example:
    >>> round(deviation(0, 1000), 3), round(deviation(100, 1000), 3)
    (0.043, 0.191)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from streetvision_core.errors import DataError


def deviation(bits: float, n: int, delta: float = 0.05) -> float:
    """Largest error of a mean of [0, 1] values after `bits` have been shown.

    Args:
        bits: information shown before the model was chosen.
        n: independent items (groups) in the set.
        delta: the chance that the error is larger.

    Returns:
        In [0, 1]; 1 says nothing.
    """
    if n < 1:
        return 1.0
    return min(1.0, math.sqrt((max(bits, 0.0) * math.log(2) + math.log(2 / delta)) / (2 * n)))


def shown_bits(n: int) -> float:
    """Bits of one share over n items, rounded as `rounded` rounds it."""
    return math.log2(_levels(n) + 1)


def rounded(share: float, n: int) -> float:
    """A share rounded to the largest standard error it can have, 1 / (2 sqrt(n)): finer digits are noise."""
    levels = _levels(n)
    return round(share * levels) / levels


def _levels(n: int) -> int:
    return max(1, math.ceil(2 * math.sqrt(n)))


@dataclass(frozen=True, slots=True)
class Ladder:
    """The best figure shown so far, and the step that a new one has to beat it by.

    Attributes:
        step: in (0, 1).
        best: the best accuracy shown, a multiple of the step; None before the first.
    """

    step: float
    best: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.step < 1:
            raise DataError(f"a step of {self.step}", "above 0 and below 1", "set challenge.step, e.g. to 0.02")

    def climb(self, accuracy: float) -> tuple[Ladder, bool, float]:
        """Submits an accuracy.

        Returns:
            The ladder afterwards, whether there was a new best, and the bits this answer has shown.
        """
        if self.best is not None and accuracy < self.best + self.step:
            return self, False, 1.0
        shown = math.floor(accuracy / self.step + 1e-9) * self.step
        return Ladder(self.step, shown), True, 1.0 + math.log2(1.0 / self.step + 1.0)
