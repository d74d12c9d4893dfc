"""Counts of right and wrong decisions, and what follows from them, for any number of sets at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streetvision_core.scoring._arrays import Doubles


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Counts (or weights) of true and false positives and negatives; all four of one shape, [] for a single set."""

    tp: Doubles
    fp: Doubles
    fn: Doubles
    tn: Doubles

    @classmethod
    def count(cls, decisions: npt.NDArray[np.bool_], labels: npt.NDArray[np.bool_]) -> Confusion:
        """Counts along the last axis."""
        tp = (decisions & labels).sum(axis=-1, dtype=np.float64)
        positives, called = labels.sum(axis=-1, dtype=np.float64), decisions.sum(axis=-1, dtype=np.float64)
        return cls(*np.broadcast_arrays(tp, called - tp, positives - tp, labels.shape[-1] - positives - called + tp))

    @classmethod
    def from_rates(cls, recall: npt.ArrayLike, specificity: npt.ArrayLike, prevalence: npt.ArrayLike) -> Confusion:
        """The shares expected from rates, adding up to 1."""
        r, s, q = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (recall, specificity, prevalence)))
        return cls(q * r, (1 - q) * (1 - s), q * (1 - r), (1 - q) * s)

    @property
    def total(self) -> Doubles:
        """All rows."""
        return self.tp + self.fp + self.fn + self.tn

    def accuracy(self) -> Doubles:
        """Share of right decisions; NaN without rows."""
        return ratio(self.tp + self.tn, self.total)

    def recall(self) -> Doubles:
        """Share of the positives that were found; NaN without positives."""
        return ratio(self.tp, self.tp + self.fn)

    def false_alarm_rate(self) -> Doubles:
        """Share of the negatives that were called positive; NaN without negatives."""
        return ratio(self.fp, self.fp + self.tn)

    def f1(self) -> Doubles:
        """Harmonic mean of precision and recall; 0 where there is neither a positive nor a call, as scikit-learn."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, empty=0.0)

    def mcc(self) -> Doubles:
        """Matthews' correlation; 0 unless both classes occur in labels and in decisions."""
        # In shares, so that the product of four large counts cannot lose digits.
        n = np.where(self.total > 0, self.total, 1.0)
        tp, fp, fn, tn = self.tp / n, self.fp / n, self.fn / n, self.tn / n
        spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return ratio(tp * tn - fp * fn, np.sqrt(np.maximum(spread, 0.0)), empty=0.0)


def ratio(over: npt.ArrayLike, under: npt.ArrayLike, empty: float = np.nan) -> Doubles:
    """Elementwise division with a stated value where there is nothing to divide by."""
    numerator, denominator = np.broadcast_arrays(np.asarray(over, np.float64), np.asarray(under, np.float64))
    result: Any = np.full(numerator.shape, empty)
    return np.asarray(np.divide(numerator, denominator, out=result, where=denominator > 0))
