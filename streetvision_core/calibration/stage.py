"""From the evidence so far to a probability, one calibrator per stage.

Two steps:

1. **Fusion** weighs the head's logit against the evidence, fitted on TRAIN (with out-of-fold logits) and SELECT rows.
   Its output, the stage's *score*, has never seen CALIBRATE; that is what exit bands are certified on.
2. **Calibration** maps the score to a probability by a monotone calibrator, fitted on CALIBRATE. Where CALIBRATE holds
   next to no groups of a class, the cross-fitted scores of TRAIN and SELECT rows of the same world join in: they are a
   little biased (the heads behind them saw fewer rows), but without them the stage could not speak at all.
   `out_of_fold` gives each of these rows the probability of a calibrator that has not seen its group, for the threshold
   and for plots.

Where TRAIN and SELECT hold too little evidence, half of the CALIBRATE groups fit the fusion and only the other half
certifies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, Mask
from streetvision_core.calibration.columns import has_run, stage_columns
from streetvision_core.calibration.fusion import Fusion, fit_fusion, rarer
from streetvision_core.calibration.probability import (
    Calibrator,
    CalibratorChoice,
    best_calibrator,
    calibrator_from_dict,
)
from streetvision_core.errors import CalibrationError
from streetvision_core.training.folds import group_folds
from streetvision_core.training.weights import balanced
from streetvision_core.types import FloatArray, Stage

_LEAST_PER_CLASS: Final = 10
_ENOUGH_GROUPS: Final = 5
"""With so many groups of each class CALIBRATE calibrates alone."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StageCalibrator:
    """Maps the evidence after one stage to a score and a probability.

    Attributes:
        stage: the latest stage whose evidence it reads.
        fusion: evidence to score.
        calibrator: score to probability.
    """

    stage: Stage
    fusion: Fusion
    calibrator: Calibrator

    def score(self, logits: FloatArray, evidence: FloatArray) -> Array:
        """Scores in logits [N], not calibrated; exit bands live on their sigmoid."""
        columns, names = stage_columns(self.stage, logits, evidence)
        # An older version's fusion knows fewer columns: names are appended as stages and models are.
        return self.fusion.score(columns[:, [names.index(name) for name in self.fusion.names]])

    def predict(self, logits: FloatArray, evidence: FloatArray) -> Array:
        """Probabilities in (0, 1), [N].

        Args:
            logits: the head's, [N].
            evidence: [N, E], NaN where a stage or a detector did not run.
        """
        return self.calibrator.predict(self.score(logits, evidence))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"stage": self.stage, "fusion": self.fusion.to_dict(), "calibrator": self.calibrator.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StageCalibrator:
        """The inverse of `to_dict`."""
        return cls(data["stage"], Fusion.from_dict(data["fusion"]), calibrator_from_dict(data["calibrator"]))


@dataclass(frozen=True, slots=True, eq=False)
class FittedStage:
    """A stage's calibrator and the rows that calibrated it.

    Attributes:
        calibrator: ready to serve.
        choice: how its probability map was chosen.
        rows: row numbers [M].
        judges: which of them are CALIBRATE rows that took no part in the fusion and may certify, bool [M].
        scores: in logits, from a fusion that has not seen the row's group, [M].
        out_of_fold: cross-fitted probabilities, [M].
        note: which rows fitted the fusion.
    """

    calibrator: StageCalibrator
    choice: CalibratorChoice
    rows: Rows
    judges: Mask
    scores: Array
    out_of_fold: Array
    note: str


def fit_stage(
    stage: Stage,
    logits: FloatArray,
    evidence: FloatArray,
    y: npt.ArrayLike,
    groups: Sequence[str],
    fusion_rows: Mask,
    calibrate_rows: Mask,
    *,
    may_join: Mask | None = None,
    weights: npt.ArrayLike | None = None,
    origins: Sequence[str] | None = None,
    seed: int = 0,
) -> FittedStage:
    """Fits one stage's calibrator.

    Args:
        stage: the stage.
        logits: the head's, [N]; honest (out-of-fold) on `fusion_rows`.
        evidence: [N, E].
        y: labels, [N]; read only on the two sets of rows.
        groups: the group of each row.
        fusion_rows: rows that may fit the fusion, [N].
        calibrate_rows: rows that may calibrate, [N]; disjoint from the others.
        may_join: fusion rows that may calibrate too where there are next to no others, [N]; all of them if left out.
        weights: row weights, [N].
        origins: the origin of each row; the fusion is balanced over them. One origin if left out.
        seed: of folds.

    Raises:
        CalibrationError: too few rows hold this stage's evidence.
    """
    labels, names = np.asarray(y).astype(np.int64), np.array(groups, dtype=str)
    places = np.array(origins if origins is not None else [""] * len(labels), dtype=str)
    row_weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    ran = has_run(stage, evidence)
    if stage == "ocr" and rarer(labels[fusion_rows & ran]) >= _LEAST_PER_CLASS:
        # Where nothing was read there is no text: such rows teach what the detectors' evidence is worth.
        ran |= has_run("detectors", evidence)
    fit_on, judge = np.flatnonzero(fusion_rows & ran), np.flatnonzero(calibrate_rows & ran)
    columns, column_names = stage_columns(stage, logits, evidence)
    if stage == "classifier":
        fusion, note = Fusion.of_logit(), "the head's logit as it is"
        honest = np.full(len(fit_on), np.nan)
    else:
        fit_on, judge, note = _divide(fit_on, judge, labels, names, stage, seed)
        fair = balanced(row_weights[fit_on], labels[fit_on], places[fit_on].tolist())
        fusion, honest = fit_fusion(columns[fit_on], column_names, labels[fit_on], names[fit_on], fair, seed)
    joins = np.isfinite(honest) & _few_groups(labels[judge], names[judge])
    if may_join is not None:
        joins &= may_join[fit_on]
    rows = np.concatenate([judge, fit_on[joins]])
    scores = np.concatenate([fusion.score(columns[judge]), honest[joins]])
    choice = best_calibrator(scores, labels[rows], names[rows].tolist(), weights=row_weights[rows], seed=seed)
    calibrator = StageCalibrator(stage, fusion, choice.calibrator)
    judges = np.arange(len(rows)) < len(judge)
    return FittedStage(calibrator, choice, rows, judges, scores, choice.out_of_fold, note)


def _few_groups(y: Labels, groups: npt.NDArray[np.str_]) -> bool:
    return min(len(set(groups[y == c].tolist())) for c in (0, 1)) < _ENOUGH_GROUPS


def _divide(
    fit_on: Rows,
    judge: Rows,
    y: Labels,
    groups: npt.NDArray[np.str_],
    stage: Stage,
    seed: int,
) -> tuple[Rows, Rows, str]:
    """Rows for the fusion and rows to judge it; CALIBRATE is halved where the first are too few."""
    if rarer(y[fit_on]) >= _LEAST_PER_CLASS:
        return fit_on, judge, f"fusion fitted on {len(fit_on)} TRAIN and SELECT rows"
    half = group_folds(groups[judge].tolist(), y[judge], 2, seed)
    first, second = judge[half == 0], judge[half == 1]
    if min(rarer(y[first]), rarer(y[second])) < _LEAST_PER_CLASS:
        raise CalibrationError(
            got=f"evidence of stage {stage} on {len(fit_on)} TRAIN and SELECT rows and {len(judge)} CALIBRATE rows",
            allowed=f"at least {_LEAST_PER_CLASS} rows of each class in the former, or twice that in the latter",
            action="run the stage on more labelled frames, or leave it out of the cascade",
            stage=stage,
        )
    return first, second, f"fusion fitted on {len(first)} CALIBRATE rows, judged on the other {len(second)}"
