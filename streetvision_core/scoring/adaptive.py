"""How far a figure can be trusted after a test set has been looked at many times.

Whoever chooses the next model with the last figures in mind adapts to the set. Two results bound the harm:

* Description length (Dwork et al., Generalization in Adaptive Data Analysis and Holdout Reuse, NIPS 2015,
  arXiv 1506.02629): if all that has been shown fits into B bits, whatever is chosen next is one of 2^B choices, so by
  Hoeffding and a union bound its mean on n independent items is off by at most
  sqrt((B ln 2 + ln(2 / delta)) / 2n) with probability 1 - delta.
* The Ladder (Blum and Hardt, ICML 2015, arXiv 1502.04585): say only whether a new figure beats the best one by a
  step. The answers to a question that is nearly always denied are few: a history of T answers with k yes is described
  in log2 C(T, k) + k + 1 bits, whatever T is (the code gives k the weight 2^-(k + 1), its sum is 1).

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


def budget_bits(tolerance: float, n: int, delta: float = 0.05) -> float:
    """Bits that may be shown of n independent items before the deviation passes `tolerance`; 0 if n are too few."""
    return max(0.0, (2 * n * tolerance**2 - math.log(2 / delta)) / math.log(2))


def answer_bits(asked: int, yes: int) -> float:
    """Bits of a history of answers, `yes` of `asked` of them yes; 0 before the first."""
    return math.log2(math.comb(asked, yes)) + yes + 1 if asked else 0.0


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
    """The best figure so far, and the step that a new one has to beat it by.

    Attributes:
        step: in (0, 1).
        best: the best accuracy so far, a multiple of the step, for the ladder's own memory; None before the first.
    """

    step: float
    best: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.step < 1:
            raise DataError(f"a step of {self.step}", "above 0 and below 1", "set challenge.step, e.g. to 0.02")

    def climb(self, accuracy: float) -> tuple[Ladder, bool]:
        """Submits an accuracy.

        Returns:
            The ladder afterwards and whether there was a new best, which is all that may be told.
        """
        if self.best is not None and accuracy < self.best + self.step:
            return self, False
        return Ladder(self.step, math.floor(accuracy / self.step + 1e-9) * self.step), True
