"""From the evidence so far to a probability, one calibrator per stage.

Two steps, each with rows of its own:

1. **Fusion** weighs the head's logit against the evidence: a ridge logistic regression, fitted on TRAIN (with
   out-of-fold logits) and SELECT rows. Its output, the stage's *score*, has never seen CALIBRATE; that is what exit
   bands are certified on.
2. **Calibration** maps the score to a probability by a monotone calibrator, fitted on CALIBRATE. `out_of_fold` gives
   each CALIBRATE row the probability of a calibrator that has not seen its group, for the choice of the threshold and
   for plots; the deployed calibrator is fitted on all of them.

Where TRAIN and SELECT hold too little evidence, half of the CALIBRATE groups fit the fusion and only the other half
calibrates and certifies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, Mask, log_loss, sigmoid
from streetvision_core.calibration.columns import block_of, has_run, stage_columns
from streetvision_core.calibration.probability import (
    Calibrator,
    CalibratorChoice,
    best_calibrator,
    calibrator_from_dict,
)
from streetvision_core.errors import CalibrationError
from streetvision_core.training.folds import group_folds
from streetvision_core.types import FloatArray, Stage

_RIDGES: Final = (0.01, 0.03, 0.1, 0.3)
"""Candidates for scikit-learn's C, the strongest ridge first."""
_LOGIT_BOOST: Final = 3.0
"""The logit's column is scaled up, which weakens the ridge on it: it is the one column that is known to help."""
_FOLDS: Final = 4
_LEAST_PER_CLASS: Final = 10
_TIE: Final = 2e-3


@dataclass(frozen=True, slots=True, eq=False)
class Fusion:
    """A linear score over a stage's columns, missing values told apart.

    Attributes:
        names: the columns used.
        center: replaces a missing value and is subtracted, [C].
        weights: per column, [C].
        missing: added to the score where a block is missing.
        bias: in logits.
        rows: rows it was fitted on; 0 for the plain logit.
    """

    names: tuple[str, ...]
    center: tuple[float, ...]
    weights: tuple[float, ...]
    missing: Mapping[str, float]
    bias: float
    rows: int = 0

    @classmethod
    def of_logit(cls) -> Fusion:
        """The score of stage 1: the head's logit as it is."""
        return cls(("logit",), (0.0,), (1.0,), {}, 0.0)

    def score(self, columns: Array) -> Array:
        """Scores in logits [N] of columns [N, C]; never NaN."""
        center = np.array(self.center)
        gone = ~np.isfinite(columns)
        out = (np.where(gone, center, columns) - center) @ np.array(self.weights) + self.bias
        blocks = [block_of(name) for name in self.names]
        for block, shift in self.missing.items():
            out = out + shift * gone[:, blocks.index(block)]
        return np.asarray(out, np.float64)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        lists = {"names": list(self.names), "center": list(self.center), "weights": list(self.weights)}
        return lists | {"missing": dict(self.missing), "bias": self.bias, "rows": self.rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fusion:
        """The inverse of `to_dict`."""
        names, center, weights = (tuple(data[name]) for name in ("names", "center", "weights"))
        return cls(names, center, weights, dict(data["missing"]), data["bias"], data["rows"])


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
    """A stage's calibrator and the CALIBRATE rows that may judge it.

    Attributes:
        calibrator: ready to serve.
        choice: how its probability map was chosen.
        rows: row numbers [M] that took no part in the fusion.
        scores: their scores in logits, [M].
        out_of_fold: their cross-fitted probabilities, [M].
        note: which rows fitted the fusion.
    """

    calibrator: StageCalibrator
    choice: CalibratorChoice
    rows: npt.NDArray[np.int64]
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
    weights: npt.ArrayLike | None = None,
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
        weights: row weights, [N].
        seed: of folds.

    Raises:
        CalibrationError: too few rows hold this stage's evidence.
    """
    labels, names = np.asarray(y).astype(np.int64), np.array(groups, dtype=str)
    row_weights = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    ran = has_run(stage, evidence)
    judge = np.flatnonzero(calibrate_rows & ran)
    columns, column_names = stage_columns(stage, logits, evidence)
    if stage == "classifier":
        fusion, note = Fusion.of_logit(), "the head's logit as it is"
    else:
        fit_on, judge, note = _divide(np.flatnonzero(fusion_rows & ran), judge, labels, names, stage, seed)
        fusion = _fit_fusion(columns, column_names, labels, names, row_weights, fit_on, seed)
    scores = fusion.score(columns[judge])
    choice = best_calibrator(scores, labels[judge], names[judge].tolist(), weights=row_weights[judge], seed=seed)
    return FittedStage(
        StageCalibrator(stage, fusion, choice.calibrator), choice, judge, scores, choice.out_of_fold, note
    )


def _divide(
    fit_on: npt.NDArray[np.int64],
    judge: npt.NDArray[np.int64],
    y: Labels,
    groups: npt.NDArray[np.str_],
    stage: Stage,
    seed: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], str]:
    """Rows for the fusion and rows to judge it; CALIBRATE is halved where the first are too few."""
    if _rarer(y[fit_on]) >= _LEAST_PER_CLASS:
        return fit_on, judge, f"fusion fitted on {len(fit_on)} TRAIN and SELECT rows"
    half = group_folds(groups[judge].tolist(), y[judge], 2, seed)
    first, second = judge[half == 0], judge[half == 1]
    if min(_rarer(y[first]), _rarer(y[second])) < _LEAST_PER_CLASS:
        raise CalibrationError(
            got=f"evidence of stage {stage} on {len(fit_on)} TRAIN and SELECT rows and {len(judge)} CALIBRATE rows",
            allowed=f"at least {_LEAST_PER_CLASS} rows of each class in the former, or twice that in the latter",
            action="run the stage on more labelled frames, or leave it out of the cascade",
            stage=stage,
        )
    return first, second, f"fusion fitted on {len(first)} CALIBRATE rows, judged on the other {len(second)}"


def _fit_fusion(
    columns: Array,
    names: tuple[str, ...],
    y: Labels,
    groups: npt.NDArray[np.str_],
    weights: Array,
    rows: npt.NDArray[np.int64],
    seed: int,
) -> Fusion:
    seen = columns[rows]
    # A column that is missing on every row has no center of its own; any number does, its weight becomes 0.
    center = np.where(np.isfinite(seen).any(axis=0), np.nan_to_num(_mean_without_nan(seen)), 0.0)
    gone = ~np.isfinite(seen)
    filled = np.where(gone, center, seen) - center
    scale = np.where(filled.std(axis=0) > 1e-9, filled.std(axis=0), np.inf)
    boost = np.where(np.array(names) == "logit", _LOGIT_BOOST, 1.0)
    blocks = [block_of(name) for name in names]
    varying = [b for b in dict.fromkeys(blocks) if 0 < gone[:, blocks.index(b)].mean() < 1]
    indicators = np.stack([gone[:, blocks.index(b)] for b in varying], axis=1) if varying else np.zeros((len(rows), 0))
    x = np.concatenate([filled / scale * boost, indicators.astype(np.float64)], axis=1)
    slope, bias = _ridge(x, y[rows], groups[rows], weights[rows], seed)
    return Fusion(
        names=names,
        center=tuple(center.tolist()),
        weights=tuple((slope[: len(names)] * boost / scale).tolist()),
        missing=dict(zip(varying, slope[len(names) :].tolist(), strict=True)),
        bias=bias,
        rows=len(rows),
    )


def _ridge(x: Array, y: Labels, groups: npt.NDArray[np.str_], weights: Array, seed: int) -> tuple[Array, float]:
    """Logistic regression whose ridge has the smallest log-loss on held-out groups; a tie goes to the stronger."""
    fold = group_folds(groups.tolist(), y, _FOLDS, seed)
    losses = []
    for strength in _RIDGES:
        p = np.full(len(x), np.nan)
        for f in range(_FOLDS):
            train, held = fold != f, fold == f
            if held.any() and _rarer(y[train]):
                slope, bias = _logistic(x[train], y[train], weights[train], strength)
                p[held] = sigmoid(x[held] @ slope + bias)
        known = np.isfinite(p)
        losses.append(log_loss(p[known], y[known], weights[known]) if known.any() else 0.0)
    best = next(i for i, loss in enumerate(losses) if loss <= min(losses) + _TIE)
    return _logistic(x, y, weights, _RIDGES[best])


def _logistic(x: Array, y: Labels, weights: Array, strength: float) -> tuple[Array, float]:
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=strength, max_iter=500)
    model.fit(x, y, sample_weight=weights / weights.mean())
    return np.asarray(model.coef_[0], np.float64), float(model.intercept_[0])


def _mean_without_nan(x: Array) -> Array:
    known = np.isfinite(x)
    return np.asarray(np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.float64)


def _rarer(y: Labels) -> int:
    return int(min((y == 1).sum(), (y == 0).sum()))
