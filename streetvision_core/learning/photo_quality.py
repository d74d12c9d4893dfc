"""How good one calibration is on photographs: errors and reliability, with intervals over independent groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streetvision_core.calibration.arrays import Array, Labels
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.data.table import FeatureTable
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import Interval, bootstrap, bootstrap_decisions, clopper_pearson

BINS: Final = 5


@dataclass(frozen=True, slots=True)
class Bin:
    """Photographs whose probabilities lie together: what was said, and how many show road work."""

    n: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How good one calibration is on the photographs, with 95 % intervals over groups.

    Attributes:
        threshold: t* of whole pictures, before it is moved to 0.5.
        mcc: Matthews' correlation at 0.5.
        recall: share of road work found.
        false_positive_rate: share of the rest that was called road work.
        log_loss: of the calibrated probabilities.
        bins: reliability, in bins of equal size.
    """

    threshold: float
    mcc: Interval
    recall: Interval
    false_positive_rate: Interval
    log_loss: Interval
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; what is not defined is null."""
        names = ("mcc", "recall", "false_positive_rate", "log_loss")
        values = {name: _plain(getattr(self, name)) for name in names}
        bins = [{name: getattr(one, name) for name in Bin.__slots__} for one in self.bins]
        return {"threshold": round(self.threshold, 4), **values, "bins": bins}


def measure_quality(decisions: Decisions, table: FeatureTable, threshold: float) -> Quality:
    """The quality of decisions on labelled rows.

    Args:
        decisions: one per row.
        table: the rows.
        threshold: t* behind the decisions.
    """
    y, groups = table.labels.astype(np.int64), table.groups
    mcc, recall, false = (
        bootstrap_decisions(metric, decisions.p, y, groups)
        for metric in (Confusion.mcc, Confusion.recall, Confusion.false_alarm_rate)
    )
    loss = bootstrap(_log_loss, decisions.calibrated, y, groups, n=400)
    return Quality(threshold, mcc, recall, false, loss, _bins(decisions.calibrated, y))


def _log_loss(p: Array, y: Labels) -> float:
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(y == 1, np.log(inside), np.log1p(-inside))))


def _bins(p: Array, y: Labels) -> tuple[Bin, ...]:
    made = []
    for rows in np.array_split(np.argsort(p, kind="stable"), min(BINS, len(p))):
        low, high = clopper_pearson(int(y[rows].sum()), len(rows))
        made.append(Bin(len(rows), float(p[rows].mean()), float(y[rows].mean()), low, high))
    return tuple(made)


def _plain(interval: Interval) -> dict[str, float | None]:
    return {k: round(v, 4) if np.isfinite(v) else None for k, v in interval.to_dict().items()}
