"""Metrics of binary probabilities, in plain numpy; scikit-learn is compared with in the tests.

Example:
    >>> m = binary_metrics([0.9, 0.6, 0.2, 0.4], [1, 0, 0, 1])
    >>> m.accuracy, m.auc
    (0.5, 0.75)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.scoring._arrays import Doubles, checked
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import (
    Interval,
    allowed_errors,
    bootstrap,
    bootstrap_decisions,
    clopper_pearson,
    clopper_pearson_upper,
)

__all__ = [
    "Confusion",
    "Interval",
    "Metrics",
    "allowed_errors",
    "auc",
    "augrc",
    "binary_metrics",
    "bootstrap",
    "bootstrap_decisions",
    "brier",
    "clopper_pearson",
    "clopper_pearson_upper",
    "expected_calibration_error",
    "mcc",
]

ECE_BINS: Final = 15


@dataclass(frozen=True, slots=True)
class Metrics:
    """Everything we report about one set; NaN where a metric is not defined (e.g. AUC with one class).

    Attributes:
        n: rows.
        accuracy: at 0.5.
        f1: at 0.5.
        mcc: Matthews' correlation at 0.5, in [-1, 1]; 0 where degenerate.
        auc: area under the ROC curve, ties count half.
        brier: mean squared error of the probability.
        ece: expected calibration error over 15 bins of equal mass.
        augrc: area under the generalized risk-coverage curve, lower is better, at most 0.5.
        recall: share of road work that was found.
        false_alarm_rate: share of the rest that was called road work.
    """

    n: int
    accuracy: float
    f1: float
    mcc: float
    auc: float
    brier: float
    ece: float
    augrc: float
    recall: float
    false_alarm_rate: float

    def to_dict(self) -> dict[str, float | int | None]:
        """A JSON-ready form: NaN becomes None."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def binary_metrics(p: npt.ArrayLike, y: npt.ArrayLike) -> Metrics:
    """All metrics of one set.

    Args:
        p: probabilities of road work in [0, 1], [N].
        y: labels, 1 = road work, [N].

    Raises:
        DataError: empty, different lengths, probabilities out of range, labels other than 0 and 1.
    """
    probabilities, labels = checked(p, y)
    table = Confusion.count(probabilities > 0.5, labels)
    return Metrics(
        n=len(probabilities),
        accuracy=float(table.accuracy()),
        f1=float(table.f1()),
        mcc=float(table.mcc()),
        auc=auc(probabilities, labels),
        brier=brier(probabilities, labels),
        ece=expected_calibration_error(probabilities, labels),
        augrc=augrc(probabilities, labels),
        recall=float(table.recall()),
        false_alarm_rate=float(table.false_alarm_rate()),
    )


def mcc(p: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Matthews' correlation of the decisions at 0.5; 0 unless both classes occur in labels and decisions."""
    probabilities, labels = checked(p, y)
    return float(Confusion.count(probabilities > 0.5, labels).mcc())


def auc(p: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Area under the ROC curve: chance that a positive ranks above a negative, ties count half; NaN for one class."""
    probabilities, labels = checked(p, y)
    return _rank_above(probabilities, labels)


def brier(p: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Mean squared difference between probability and label."""
    probabilities, labels = checked(p, y)
    return float(np.mean((probabilities - labels) ** 2))


def expected_calibration_error(p: npt.ArrayLike, y: npt.ArrayLike, bins: int = ECE_BINS) -> float:
    """Mean gap between probability and frequency over bins of equal mass, weighted by their rows.

    Bins are cut at quantiles and equal probabilities always share a bin, so the result does not depend on row order.
    Equal mass, because confident models leave most bins of equal width empty.
    """
    probabilities, labels = checked(p, y)
    edges = np.quantile(probabilities, np.arange(1, bins) / bins, method="inverted_cdf")
    place = np.searchsorted(edges, probabilities, side="left")
    gaps = np.bincount(place, probabilities - labels, bins)
    return float(np.abs(gaps).sum() / len(probabilities))


def augrc(p: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Area under the generalized risk-coverage curve (arXiv 2407.01032), confidence = distance from 0.5.

    The chance that a random accepted-down-to row is a silent failure, averaged over coverages. Computed by the paper's
    identity (1 - AUROC_f) * acc * (1 - acc) + (1 - acc)^2 / 2, where AUROC_f ranks right above wrong decisions.
    """
    probabilities, labels = checked(p, y)
    right = (probabilities > 0.5) == labels
    accuracy = float(right.mean())
    if accuracy in (0.0, 1.0):
        return (1 - accuracy) ** 2 / 2
    ranking = _rank_above(np.abs(probabilities - 0.5), right)
    return (1 - ranking) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2


def _rank_above(scores: Doubles, positive: npt.NDArray[np.bool_]) -> float:
    positives = int(positive.sum())
    negatives = len(scores) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(midranks[place.reshape(-1)][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
