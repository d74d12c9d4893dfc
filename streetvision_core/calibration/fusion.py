"""How a stage's score weighs the head's logit against the evidence: a ridge logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, log_loss, sigmoid
from streetvision_core.calibration.columns import block_of
from streetvision_core.training.folds import group_folds

_RIDGES: Final = (0.01, 0.03, 0.1, 0.3)
"""Candidates for scikit-learn's C, the strongest ridge first."""
_LOGIT_BOOST: Final = 3.0
"""The logit's column is scaled up, which weakens the ridge on it: it is the one column that is known to help."""
_FOLDS: Final = 4
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

    def weight_of_block(self) -> dict[str, float]:
        """The largest absolute weight in each block of columns; 0 where the block was missing on every row."""
        found: dict[str, float] = {}
        for name, weight in zip(self.names, self.weights, strict=True):
            found[block_of(name)] = max(found.get(block_of(name), 0.0), abs(weight))
        return found

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        lists = {"names": list(self.names), "center": list(self.center), "weights": list(self.weights)}
        return lists | {"missing": dict(self.missing), "bias": self.bias, "rows": self.rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fusion:
        """The inverse of `to_dict`."""
        names, center, weights = (tuple(data[name]) for name in ("names", "center", "weights"))
        return cls(names, center, weights, dict(data["missing"]), data["bias"], data["rows"])


def fit_fusion(
    columns: Array, names: tuple[str, ...], y: Labels, groups: npt.NDArray[np.str_], weights: Array, seed: int
) -> tuple[Fusion, Array]:
    """Fits the weights, and scores every row by a fit that has not seen its group.

    Args:
        columns: [N, C], NaN where something is missing.
        names: of the columns.
        y: labels, [N].
        groups: of the rows, [N].
        weights: of the rows, [N].
        seed: of folds.

    Returns:
        the fusion of all rows, and cross-fitted scores [N]; NaN where a fold left a class out.
    """
    seen = columns
    # A column that is missing on every row has no center of its own; any number does, its weight becomes 0.
    center = np.where(np.isfinite(seen).any(axis=0), np.nan_to_num(_mean_without_nan(seen)), 0.0)
    gone = ~np.isfinite(seen)
    filled = np.where(gone, center, seen) - center
    scale = np.where(filled.std(axis=0) > 1e-9, filled.std(axis=0), np.inf)
    boost = np.where(np.array(names) == "logit", _LOGIT_BOOST, 1.0)
    blocks = [block_of(name) for name in names]
    varying = [b for b in dict.fromkeys(blocks) if 0 < gone[:, blocks.index(b)].mean() < 1]
    indicators = np.stack([gone[:, blocks.index(b)] for b in varying], axis=1) if varying else np.zeros((len(y), 0))
    x = np.concatenate([filled / scale * boost, indicators.astype(np.float64)], axis=1)
    slope, bias, honest = _ridge(x, y, groups, weights, seed)
    fusion = Fusion(
        names=names,
        center=tuple(center.tolist()),
        weights=tuple((slope[: len(names)] * boost / scale).tolist()),
        missing=dict(zip(varying, slope[len(names) :].tolist(), strict=True)),
        bias=bias,
        rows=len(y),
    )
    return fusion, honest


def _ridge(x: Array, y: Labels, groups: npt.NDArray[np.str_], weights: Array, seed: int) -> tuple[Array, float, Array]:
    """Logistic regression whose ridge has the smallest log-loss on held-out groups; a tie goes to the stronger."""
    fold = group_folds(groups.tolist(), y, _FOLDS, seed)
    losses, honest = [], []
    for strength in _RIDGES:
        scores = np.full(len(x), np.nan)
        for f in range(_FOLDS):
            train, held = fold != f, fold == f
            if held.any() and rarer(y[train]):
                slope, bias = _logistic(x[train], y[train], weights[train], strength)
                scores[held] = x[held] @ slope + bias
        known = np.isfinite(scores)
        losses.append(log_loss(sigmoid(scores[known]), y[known], weights[known]) if known.any() else 0.0)
        honest.append(scores)
    best = next(i for i, loss in enumerate(losses) if loss <= min(losses) + _TIE)
    return *_logistic(x, y, weights, _RIDGES[best]), honest[best]


def _logistic(x: Array, y: Labels, weights: Array, strength: float) -> tuple[Array, float]:
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=strength, max_iter=500)
    model.fit(x, y, sample_weight=weights / weights.mean())
    return np.asarray(model.coef_[0], np.float64), float(model.intercept_[0])


def _mean_without_nan(x: Array) -> Array:
    known = np.isfinite(x)
    return np.asarray(np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.float64)


def rarer(y: Labels) -> int:
    """Rows of the rarer class."""
    return int(min((y == 1).sum(), (y == 0).sum()))
