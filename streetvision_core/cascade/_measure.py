"""The numbers of an evaluation, one function per part of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, Mask
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.report import CostReport, Curves, SliceReport, StageReport
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import Interval, bootstrap, bootstrap_decisions, clopper_pearson
from streetvision_core.scoring.metrics import Metrics, binary_metrics
from streetvision_core.scoring.rules import RULES
from streetvision_core.types import STAGES

_DECIDED: Final[Mapping[str, Callable[[Confusion], Any]]] = {
    "accuracy": Confusion.accuracy,
    "f1": Confusion.f1,
    "mcc": Confusion.mcc,
    "recall": Confusion.recall,
    "false_alarm_rate": Confusion.false_alarm_rate,
}
_PROBABILITY: Final = ("auc", "brier", "ece", "augrc")
_NEEDS_BOTH: Final = ("mcc", "auc", "f1")
_RELIABILITY_BINS: Final = 10
_RISK_POINTS: Final = 50
_RULE_RESAMPLES: Final = 100


def measure_slice(
    name: str, decisions: Decisions, y: Labels, groups: Sequence[str], resamples: int, *, full: bool
) -> SliceReport:
    """Metrics of some rows.

    Accuracy and what else follows from decisions use `p`; AUC, Brier, ECE and AUGRC use the calibrated probability,
    because moving t* to 0.5 is for the paid decision and no claim about frequencies.

    Args:
        name: what the rows have in common.
        decisions: answers, at least one.
        y: labels.
        groups: what is resampled.
        resamples: bootstrap samples for decision metrics; a quarter of them for the others.
        full: also intervals of the probability metrics, and the pay rules.
    """
    both = 0 < int(y.sum()) < len(y)
    found: dict[str, Interval] = {
        metric: bootstrap_decisions(fn, decisions.p, y, groups, resamples) for metric, fn in _DECIDED.items()
    }
    points = binary_metrics(decisions.calibrated, y)
    for metric in _PROBABILITY:
        found[metric] = (
            bootstrap(_metric(metric), decisions.calibrated, y, groups, max(20, resamples // 4))
            if full
            else Interval(math.nan, float(getattr(points, metric)), math.nan)
        )
    if not both:
        found |= {metric: Interval(math.nan, math.nan, math.nan) for metric in _NEEDS_BOTH}
    elif full:
        found |= {rule: _pay(rule, decisions.p, y, groups, min(_RULE_RESAMPLES, resamples)) for rule in RULES}
    return SliceReport(name, len(y), len(set(groups)), int(y.sum()), found)


def _metric(name: str) -> Callable[[Array, npt.NDArray[np.int64]], float]:
    def one(p: Array, y: npt.NDArray[np.int64]) -> float:
        metrics: Metrics = binary_metrics(p, y)
        return float(getattr(metrics, name))

    return one


def _pay(rule: str, p: Array, y: Labels, groups: Sequence[str], resamples: int) -> Interval:
    """The long-run score of a pay rule under its own sampling."""

    def expected(p: Array, y: npt.NDArray[np.int64]) -> float:
        return float(RULES[rule].expected(p, y, streams=20, steps=200)) if 0 < y.sum() < len(y) else math.nan

    return bootstrap(expected, p, y, groups, resamples)


def measure_stages(decisions: Decisions, y: Labels, seconds: Array | None) -> tuple[StageReport, ...]:
    """One report per stage that ran anywhere.

    Args:
        decisions: answers.
        y: labels.
        seconds: time of each stage on each row, [N, 4], NaN where unknown; None if not measured.
    """
    wrong = (decisions.p > 0.5) != (y == 1)
    costs = _stage_means(decisions.ran, seconds)
    total = np.nansum(costs)
    reports = []
    for k, stage in enumerate(STAGES):
        ran = decisions.ran[:, k]
        if not ran.any():
            continue
        exits = decisions.exit_stage == k
        sure = exits & decisions.certified
        known = seconds[ran, k] * 1000 if seconds is not None else np.zeros(0)
        known = known[np.isfinite(known)]
        reports.append(
            StageReport(
                stage=stage,
                ran=int(ran.sum()),
                exits=int(exits.sum()),
                coverage=float(exits.mean()),
                errors=int(wrong[exits].sum()),
                error=exact(int(wrong[exits].sum()), int(exits.sum())),
                certified_exits=int(sure.sum()),
                certified_errors=int(wrong[sure].sum()),
                certified_error=exact(int(wrong[sure].sum()), int(sure.sum())),
                median_ms=float(np.median(known)) if len(known) else math.nan,
                p99_ms=float(np.quantile(known, 0.99)) if len(known) else math.nan,
                mean_ms=float(known.mean()) if len(known) else math.nan,
                relative_cost=float(costs[k] * ran.mean() / total) if total > 0 else math.nan,
            )
        )
    return tuple(reports)


def exact(errors: int, n: int) -> Interval:
    """An error rate with its exact 95 % interval; NaN without rows."""
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    low, high = clopper_pearson(errors, n)
    return Interval(low, errors / n, high)


def measure_cost(ran: Mask, can_run: Mask, seconds: Array | None, every_stage_mcc: float) -> CostReport:
    """Mean time of a frame against running every stage that could see it.

    Args:
        ran: which stages ran, [N, 4].
        can_run: which stages could have run, [N, 4].
        seconds: time of each stage on each row, [N, 4], NaN where unknown; None if not measured.
        every_stage_mcc: quality of the reference.
    """
    costs = np.nan_to_num(_stage_means(ran, seconds)) * 1000
    if not costs.any():
        return CostReport(every_stage_mcc=every_stage_mcc)
    mean, every = float((ran * costs).sum(axis=1).mean()), float((can_run * costs).sum(axis=1).mean())
    return CostReport(mean, every, mean / every if every else math.nan, every_stage_mcc)


def _stage_means(ran: Mask, seconds: Array | None) -> Array:
    """Mean seconds of each stage where it is known, [4]; NaN where it never is."""
    if seconds is None:
        return np.full(len(STAGES), np.nan)
    known = np.isfinite(seconds)
    total = np.where(known, seconds, 0.0).sum(axis=0)
    return np.asarray(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan), np.float64)


def measure_curves(decisions: Decisions, y: Labels) -> Curves:
    """Reliability of the calibrated probability in bins of equal mass; error among the surest rows."""
    order = np.argsort(decisions.calibrated, kind="stable")
    bins = [rows for rows in np.array_split(order, _RELIABILITY_BINS) if len(rows)]
    reliability = tuple((float(decisions.calibrated[b].mean()), float(y[b].mean()), len(b)) for b in bins)
    surest = np.argsort(-np.abs(decisions.p - 0.5), kind="stable")
    risk = np.cumsum((decisions.p[surest] > 0.5) != (y[surest] == 1)) / np.arange(1, len(y) + 1)
    at = np.unique(np.linspace(1, len(y), min(_RISK_POINTS, len(y))).astype(int))
    return Curves(reliability, tuple((float(k / len(y)), float(risk[k - 1])) for k in at))
