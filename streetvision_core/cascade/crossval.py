"""Cross-validates the whole recipe (head, calibration, decisions) over groups: the source of the real-photo table.

Every fold trains on other groups' rows, calibrates on other groups' rows, and answers its own. Rows of weight 0 are
answered, never learned from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Labels, Mask
from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import predict_table
from streetvision_core.cascade.report import plain
from streetvision_core.data.splits import assign_splits
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import CalibrationError, DataError
from streetvision_core.scoring.metrics import binary_metrics
from streetvision_core.settings import Settings
from streetvision_core.training.folds import group_folds
from streetvision_core.training.heads import train_heads
from streetvision_core.training.spec import CandidateSpec
from streetvision_core.types import STAGES, Split

FRACTIONS: Final = (0.7, 0.1, 0.2, 0.0)
"""Shares of TRAIN, SELECT and CALIBRATE among the rows a fold may learn from."""
ALL: Final = "all"
_METRICS: Final = ("mcc", "accuracy", "auc", "recall", "false_alarm_rate", "brier", "ece")
_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation over shuffles; NaN where the metric is not defined."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One policy on one origin and one era.

    Attributes:
        policy: the policy's name.
        origin: a data set, `all`, or the name of rows shown apart.
        era: an image regime, or `all`.
        n: rows scored in each shuffle.
        positives: rows with road work among them.
        metrics: by name.
    """

    policy: str
    origin: str
    era: str
    n: int
    positives: int
    metrics: dict[str, Spread]


@dataclass(frozen=True, slots=True)
class CrossvalReport:
    """The result of all folds and shuffles.

    Attributes:
        cells: every policy, origin and era, pooled ones first.
        folds: folds per shuffle.
        shuffles: how often the groups were dealt anew.
        heads: how often each kind of head was chosen.
        exits: by policy and stage, the share of scored rows that ended there.
        certified: how many fold calibrations have a certified band, by stage.
        thresholds: mean and deviation of t* over fold calibrations.
        skipped: folds without a result, with the reason.
    """

    cells: tuple[Cell, ...]
    folds: int
    shuffles: int
    heads: dict[str, int]
    exits: dict[str, dict[str, float]]
    certified: dict[str, int]
    thresholds: Spread
    skipped: tuple[str, ...]

    def cell(self, policy: str, origin: str = ALL, era: str = ALL) -> Cell:
        """One cell.

        Raises:
            KeyError: there is none.
        """
        for cell in self.cells:
            if (cell.policy, cell.origin, cell.era) == (policy, origin, era):
                return cell
        raise KeyError((policy, origin, era))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form: NaN becomes None."""
        return dict(plain(self))

    def to_markdown(self, policy: str) -> str:
        """The table of one policy for a README."""
        head = (
            "| origin | era | photos (road work) | MCC | AUC | recall | false alarms |\n|---|---|---|---|---|---|---|\n"
        )
        rows = [
            f"| {c.origin} | {c.era} | {c.n} ({c.positives}) | {_words(c, 'mcc')} | {_words(c, 'auc')} "
            f"| {_words(c, 'recall')} | {_words(c, 'false_alarm_rate')} |"
            for c in self.cells
            if c.policy == policy
        ]
        return head + "\n".join(rows) + "\n"


def cross_validate(
    table: FeatureTable,
    settings: Settings,
    *,
    folds: int = 5,
    shuffles: int = 5,
    policies: Sequence[str] = ("certified", "plan"),
    scored: npt.ArrayLike | None = None,
    train_only: Collection[str] = (),
    by_origin: bool = False,
    apart: Mapping[str, npt.ArrayLike] | None = None,
    specs: Sequence[CandidateSpec] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CrossvalReport:
    """Runs the recipe on every fold of every shuffle.

    Args:
        table: labelled rows of all origins and eras; splits are ignored. Rows of weight 0 are only answered.
        settings: training, cascade and the seed.
        folds: folds per shuffle.
        shuffles: how often the groups are dealt anew.
        policies: names of the policies to compare; they share each fold's head and calibration.
        scored: boolean [N], rows that count (e.g. photos, not rendered frames); all if left out.
        train_only: groups that stand in TRAIN in every fold and are never answered: those whose photos trained a
            detector (`ModelSet.seen_groups`), because its evidence on them is too good.
        by_origin: every origin is a fold of its own, answered by what learned from the others alone; `folds` then
            counts nothing, and shuffles differ in how the others are split.
        apart: by name, boolean [N] of rows whose figures are also given alone, under that name instead of an origin.
        specs: other head candidates than the default grid.
        progress: called with folds done and in all.

    Raises:
        DataError: no fold gave a result.
    """
    known = np.flatnonzero(table.labels >= 0)
    counts = np.ones(len(table), bool) if scored is None else np.asarray(scored, np.bool_)
    table, counts = table.select(known), counts[known]
    slices = {name: np.asarray(mask, np.bool_)[known] for name, mask in (apart or {}).items()}
    pinned = np.isin(np.array(table.groups, dtype=str), sorted(train_only))
    strata = [f"{origin}/{label}" for origin, label in zip(table.origins, table.labels, strict=True)]
    tally = _Tally(policies)
    origin_fold = _origin_folds(table, counts) if by_origin else None
    folds = folds if origin_fold is None else int(origin_fold.max()) + 1
    for shuffle in range(shuffles):
        dealt = (
            group_folds(table.groups, strata, folds, settings.seed + shuffle) if origin_fold is None else origin_fold
        )
        found = {policy: _Answers.empty(len(table)) for policy in policies}
        for f in range(folds):
            part = _Part(table, (dealt == f) & ~pinned, counts, pinned)
            _run_fold(part, settings, settings.seed + 1000 * shuffle + f, specs, found, tally)
            if progress is not None:
                progress(shuffle * folds + f + 1, shuffles * folds)
        for policy, answers in found.items():
            tally.shuffles[policy].append(answers)
    return _report(table, counts & ~pinned, folds, shuffles, tally, slices)


def _origin_folds(table: FeatureTable, scored: Mask) -> npt.NDArray[np.int64]:
    """The origin of each row's group, as a number: what was made from a photo goes with the photo."""
    of_group = {table.groups[i]: table.origins[i] for i in np.flatnonzero(scored)}
    origins = [of_group.get(group, origin) for group, origin in zip(table.groups, table.origins, strict=True)]
    return np.asarray(np.unique(np.array(origins, dtype=str), return_inverse=True)[1], np.int64)


@dataclass(slots=True, eq=False)
class _Answers:
    decisions: Decisions
    done: Mask

    @classmethod
    def empty(cls, n: int) -> _Answers:
        nothing = Decisions(
            np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int64), np.zeros(n, bool),
            np.zeros((n, len(STAGES)), bool), "",
        )  # fmt: skip
        return cls(nothing, np.zeros(n, bool))

    def put(self, rows: npt.NDArray[np.int64], decisions: Decisions) -> None:
        for name in ("p", "calibrated", "exit_stage", "certified", "ran"):
            getattr(self.decisions, name)[rows] = getattr(decisions, name)
        self.done[rows] = True


class _Tally:
    def __init__(self, policies: Sequence[str]) -> None:
        self.shuffles: dict[str, list[_Answers]] = {policy: [] for policy in policies}
        self.heads: Counter[str] = Counter()
        self.certified: Counter[str] = Counter()
        self.thresholds: list[float] = []
        self.skipped: list[str] = []

    def note(self, kind: str, calibration: CascadeCalibration) -> None:
        self.heads[kind] += 1
        self.certified.update(stage for stage, band in calibration.bands.items() if band.certified)
        self.thresholds.append(calibration.threshold)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    table: FeatureTable
    held: Mask
    scored: Mask
    pinned: Mask


def _run_fold(
    part: _Part,
    settings: Settings,
    seed: int,
    specs: Sequence[CandidateSpec] | None,
    found: dict[str, _Answers],
    tally: _Tally,
) -> None:
    """Learns from the other folds and answers the held-out rows that count."""
    rows = np.flatnonzero(part.held & part.scored)
    if not len(rows):
        return
    learning = ~part.held & (part.table.weights > 0)
    pool, pinned = part.table.select(learning), part.pinned[learning]
    reason = ""
    for attempt in range(_ATTEMPTS):
        trial = settings.model_copy(update={"seed": seed + 7919 * attempt})
        try:
            split = _with_splits(pool, pinned, trial.seed)
            trained = train_heads(split, trial.training, trial.seed, specs=specs)
            calibration = fit_cascade(split, trained.head, trial)
        except (DataError, CalibrationError) as error:
            # So few groups that a split lacks a class: deal them again before giving the fold up.
            reason = str(error)
            continue
        tally.note(trained.leaderboard[0].spec.kind, calibration)
        for policy, answers in found.items():
            answers.put(rows, predict_table(part.table.select(rows), trained.head, calibration, policy))
        return
    tally.skipped.append(reason)


def _with_splits(pool: FeatureTable, pinned: Mask, seed: int) -> FeatureTable:
    strata = [f"{origin}/{label}" for origin, label in zip(pool.origins, pool.labels, strict=True)]
    train = {pool.groups[i]: Split.TRAIN for i in np.flatnonzero(pinned)}
    return replace(pool, splits=tuple(assign_splits(pool.groups, strata, FRACTIONS, seed, train)))


def _report(
    table: FeatureTable, scored: Mask, folds: int, shuffles: int, tally: _Tally, slices: Mapping[str, Mask]
) -> CrossvalReport:
    if not any(answers.done.any() for one in tally.shuffles.values() for answers in one):
        raise DataError(
            got=f"{folds} folds without a result: {tally.skipped[:1]}",
            allowed="folds whose other groups hold both classes in TRAIN and CALIBRATE",
            action="use fewer folds, or label more groups of both classes",
        )
    exits = {
        policy: {
            str(stage): float(np.mean([(a.decisions.exit_stage[a.done] == k).mean() for a in one]))
            for k, stage in enumerate(STAGES)
        }
        for policy, one in tally.shuffles.items()
    }
    return CrossvalReport(
        cells=tuple(_cells(table, scored, tally, slices)),
        folds=folds,
        shuffles=shuffles,
        heads=dict(tally.heads),
        exits=exits,
        certified=dict(tally.certified),
        thresholds=_spread(tally.thresholds),
        skipped=tuple(tally.skipped),
    )


def _cells(table: FeatureTable, scored: Mask, tally: _Tally, slices: Mapping[str, Mask]) -> Iterator[Cell]:
    labels = table.labels.astype(np.int64)
    origins, eras = np.array(table.origins), np.array(table.eras)
    named = {ALL: scored, **slices}
    named |= {origin: origins == origin for origin in sorted(set(origins[scored].tolist()))}
    for policy, shuffles in tally.shuffles.items():
        for origin, members in named.items():
            for era in (ALL, *sorted(set(eras[scored].tolist()))):
                mask = scored & members & ((eras == era) | (era == ALL))
                if mask.any():
                    metrics = _over_shuffles([(a.decisions, a.done & mask) for a in shuffles], labels)
                    yield Cell(policy, origin, era, int(mask.sum()), int(labels[mask].sum()), metrics)


def _over_shuffles(parts: Sequence[tuple[Decisions, Mask]], labels: Labels) -> dict[str, Spread]:
    values: dict[str, list[float]] = {name: [] for name in _METRICS}
    for decisions, rows in parts:
        if not rows.any():
            continue
        decided, probability = (binary_metrics(p[rows], labels[rows]) for p in (decisions.p, decisions.calibrated))
        both = 0 < labels[rows].sum() < rows.sum()
        for name in _METRICS:
            source = probability if name in ("auc", "brier", "ece") else decided
            defined = both or name not in ("mcc", "auc")
            values[name].append(float(getattr(source, name)) if defined else float("nan"))
    return {name: _spread(one) for name, one in values.items()}


def _spread(values: Sequence[float]) -> Spread:
    known = np.array([v for v in values if np.isfinite(v)])
    return Spread(float(known.mean()), float(known.std())) if len(known) else Spread(float("nan"), float("nan"))


def _words(cell: Cell, metric: str) -> str:
    found = cell.metrics[metric]
    return f"{found.mean:.3f} ± {found.deviation:.3f}" if np.isfinite(found.mean) else "–"
