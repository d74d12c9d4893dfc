"""How many labels mining saves: the same head, taught by mined frames and by frames drawn at random.

The labels of a table are hidden; each strategy asks for a batch at a time, a head is fitted on what it has been told,
and the head is judged on groups nothing was asked about. Both strategies start from the same random labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.mining._quick_head import Doubles, Space, fit_and_answer
from streetvision_core.mining.hardness import Probabilities, score_evidence
from streetvision_core.mining.select import select
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.settings import MiningSettings
from streetvision_core.training.folds import group_folds

Rows = npt.NDArray[np.int64]
Strategy = Literal["mined", "uncertain", "random"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)

_TEST_FOLDS: Final = 4
_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How often and how much is asked.

    Attributes:
        start: labels drawn at random before the first question.
        batch: labels per question.
        most: labels at the end.
        seeds: repetitions, each with its own split, start and draws.
    """

    start: int = 20
    batch: int = 20
    most: int = 300
    seeds: int = 8

    @property
    def labels(self) -> list[int]:
        """Labels known at each point of a curve."""
        return list(range(self.start, self.most + 1, self.batch))


@dataclass(frozen=True, slots=True, eq=False)
class LabelCurves:
    """MCC on unseen groups, float64 [seeds, points] per strategy, after `labels` [points] labels."""

    labels: Sequence[int]
    mcc: Mapping[Strategy, Doubles]

    def band(self, strategy: Strategy) -> tuple[Doubles, Doubles, Doubles]:
        """Mean and 95 % interval of the mean over seeds, by bootstrap, each [points]."""
        values = self.mcc[strategy]
        means = values[_resamples(len(values))].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5], axis=0)
        return values.mean(axis=0), low, high

    def needed(self, strategy: Strategy, target: float) -> float | None:
        """Labels after which the mean curve reaches an MCC; None if it never does."""
        reached = _needed(self.mcc[strategy].mean(axis=0)[None], self.labels, target)[0]
        return None if np.isnan(reached) else float(reached)

    def ratio(self, target: float, strategy: Strategy = "mined") -> dict[str, float | None]:
        """Labels that random choice needs for each one the strategy needs, with a 95 % interval over seeds.

        Seeds are drawn together for both, because they share split and start. A resample in which either never
        reaches the target counts for neither side; `reached` says how many did.
        """
        picks = _resamples(len(self.mcc["random"]))
        ours, theirs = (
            _needed(self.mcc[name][picks].mean(axis=1), self.labels, target) for name in (strategy, "random")
        )
        ratios = (theirs / ours)[np.isfinite(theirs) & np.isfinite(ours)]
        point = (self.needed("random", target), self.needed(strategy, target))
        low, high = np.percentile(ratios, [2.5, 97.5]) if len(ratios) else (None, None)
        return {
            "mcc": target,
            "labels": point[1],
            "labels_random": point[0],
            "ratio": round(point[0] / point[1], 2) if point[0] and point[1] else None,
            "low": None if low is None else round(float(low), 2),
            "high": None if high is None else round(float(high), 2),
            "reached": round(len(ratios) / len(picks), 2),
        }

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form: the bands."""
        told = {}
        for name in self.mcc:
            bands = dict(zip(("mean", "low", "high"), self.band(name), strict=True))
            told[name] = {key: np.round(values, 4).tolist() for key, values in bands.items()}
        return {"labels": list(self.labels), "mcc": told}


def compare_strategies(
    table: FeatureTable,
    settings: MiningSettings,
    plan: LabelPlan = LabelPlan(),
    *,
    strategies: Sequence[Strategy] = STRATEGIES,
    progress: Callable[[int], None] | None = None,
) -> LabelCurves:
    """Runs every strategy on a table whose labels it does not see until it asks for them.

    Args:
        table: labelled rows with evidence; rows without a label are left out.
        settings: the loop's own mining settings.
        plan: how often and how much is asked.
        strategies: `random`, and what to compare with it.
        progress: called with the number of each seed that is done.

    Raises:
        DataError: too few labelled rows for the plan.
    """
    known = table.select(table.labels >= 0)
    if len(known) * (1 - 1 / _TEST_FOLDS) < plan.most or len(set(known.labels.tolist())) < 2:
        raise DataError(
            got=f"{len(known)} labelled rows for {plan.most} labels",
            allowed="both classes, and a quarter of the rows left over for judging",
            action="give more rows or ask for fewer labels",
        )
    curves: dict[Strategy, list[list[float]]] = {name: [] for name in strategies}
    for seed in range(plan.seeds):
        trial = _Trial(known, settings, plan, seed)
        for name in strategies:
            curves[name].append(trial.run(name))
        if progress:
            progress(seed)
    return LabelCurves(plan.labels, {name: np.array(values) for name, values in curves.items()})


class _Trial:
    """One split and one start, the same for every strategy."""

    def __init__(self, table: FeatureTable, settings: MiningSettings, plan: LabelPlan, seed: int) -> None:
        strata = [f"{label}/{origin}" for label, origin in zip(table.labels, table.origins, strict=True)]
        fold = group_folds(table.groups, strata, _TEST_FOLDS, seed)
        self.pool, self.test = table.select(fold != 0), table.select(fold == 0)
        self.settings, self.plan, self.seed = settings, plan, seed
        space = Space(self.pool.features, seed)
        self.x, self.x_test = space(self.pool.features), space(self.test.features)
        self.start = _start(self.pool.labels, plan.start, np.random.default_rng([seed, 0]))

    def run(self, strategy: Strategy) -> list[float]:
        """MCC after each point of the plan."""
        chosen, curve = self.start, []
        while True:
            p, p_test = fit_and_answer(self.x[chosen], self.pool.labels[chosen], self.x, self.x_test)
            confusion = Confusion.count(p_test > 0.5, self.test.labels == 1)
            curve.append(float(np.nan_to_num(confusion.mcc())))
            if len(chosen) + self.plan.batch > self.plan.most:
                return curve
            chosen = np.concatenate([chosen, self._ask(strategy, chosen, p)])

    def _ask(self, strategy: Strategy, chosen: Rows, p: Doubles) -> Rows:
        left = np.setdiff1d(np.arange(len(self.pool)), chosen)
        wanted = self.plan.batch
        rng = np.random.default_rng([self.seed, len(chosen)])
        if strategy == "uncertain":
            return left[np.argsort(np.abs(p[left] - 0.5), kind="stable")[:wanted]]
        if strategy == "mined":
            rest = self.pool.select(left)
            # Stage 1 alone answers here: stages cannot disagree, and no exit is certified.
            said = Probabilities(p[left], p[left], np.full(len(left), np.nan), np.zeros(len(left), np.bool_))
            hard = score_evidence(rest.evidence, said)
            known = self.pool.features[chosen]
            mined = select(rest, hard, wanted, self.settings, seed=int(rng.integers(2**31)), known=known)
            taken = left[[item.row for item in mined.items]]
            # Near-duplicates and group caps may leave less than a batch; the rest is drawn, so that both pay alike.
            more = rng.permutation(np.setdiff1d(left, taken))[: wanted - len(taken)]
            return np.concatenate([taken, more])
        return rng.permutation(left)[:wanted]


def _start(labels: npt.NDArray[np.int8], n: int, rng: np.random.Generator) -> Rows:
    classes = len(set(labels.tolist()))
    if classes < 2 or n < 2:
        raise DataError(
            got=f"{n} labels to start with, drawn from {len(labels)} rows of {classes} class{'es' * (classes > 1)}",
            allowed="at least 2, and both classes among three quarters of the groups",
            action="give rows of more places, or start with more labels",
        )
    while True:
        rows = rng.permutation(len(labels))[:n]
        if len(set(labels[rows].tolist())) == 2:
            return rows


def _needed(curves: Doubles, labels: Sequence[int], target: float) -> Doubles:
    """Labels at which each curve [K, points] first reaches the target, by straight lines between points; NaN: never."""
    best = np.maximum.accumulate(curves, axis=1)
    x = np.asarray(labels, np.float64)
    found = np.full(len(best), np.nan)
    for k, curve in enumerate(best):
        if curve[-1] >= target:
            i = int(np.argmax(curve >= target))
            step = curve[i] - curve[i - 1] if i else 1.0
            found[k] = x[i] - (x[i] - x[i - 1]) * (curve[i] - target) / step if i else x[0]
    return found


def _resamples(n: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
