"""The paid threshold: where a rule pays most, and the map that moves it to 0.5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, logit, row_groups, sigmoid
from streetvision_core.errors import CalibrationError
from streetvision_core.scoring.rules import ScoringRule, sweep

NEUTRAL: Final = 0.5
_GRID: Final = 1.0 / (1.0 + np.exp(-np.linspace(-3.0, 3.0, 61)))
_RESAMPLES: Final = 100
_AWAY_FROM_HALF: Final = 1e-4
"""Half-way answers are moved this far from 0.5, enough to survive rounding to four decimals."""
_EDGE: Final = 1e-6


def best_threshold(
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    rule: ScoringRule,
    groups: Sequence[str] | None = None,
    *,
    balanced: bool = False,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> float:
    """The decision threshold at which a rule pays most, kept from chasing noise.

    The best threshold of each bootstrap sample of groups is found, the middle of the best stretch where several are
    equal. Their mean in logits, drawn towards the neutral threshold by the share of its distance that their variance
    explains (positive-part James-Stein), is t*: few rows, whose best thresholds scatter, move it little. Neutral is
    0.5; for a balanced stream it is the share of road work among the rows, where a calibrated probability speaks for
    neither class.

    Args:
        p: calibrated probabilities, [N].
        y: labels 0 or 1, [N].
        rule: what pays.
        groups: the group of each row; each row its own if left out.
        balanced: score a stream in which both labels are equally likely, as validators draw them (FACTS 16c), rather
            than one with the labels' shares in these rows.
        resamples: bootstrap samples.
        seed: of the resampling.

    Returns:
        t* in [0.047, 0.953]; 0.5 if only one class occurs.
    """
    probabilities, labels = np.asarray(p, np.float64), np.asarray(y).astype(np.int64)
    if len(np.unique(labels)) < 2:
        return NEUTRAL
    names, inverse = np.unique(np.array(row_groups(groups, len(labels))), return_inverse=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    rng = np.random.default_rng(seed)
    best = []
    for _ in range(resamples):
        rows = np.concatenate([members[g] for g in rng.integers(0, len(names), len(names))])
        rows = _balance(rows, labels, rng) if balanced else rows
        if len(np.unique(labels[rows])) == 2:
            best.append(_middle_of_best(sweep(rule, probabilities[rows], labels[rows], _GRID)))
    neutral = float(np.mean(labels)) if balanced else NEUTRAL
    return _drawn_to(neutral, np.array(best)) if best else neutral


def _balance(rows: npt.NDArray[np.intp], y: Labels, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Repeats rows of the rarer class, drawn at random, until both are as many."""
    ones, zeros = rows[y[rows] == 1], rows[y[rows] == 0]
    if not len(ones) or not len(zeros):
        return rows
    rarer, commoner = sorted((ones, zeros), key=len)
    return np.concatenate([commoner, rarer, rng.choice(rarer, len(commoner) - len(rarer))])


def _middle_of_best(curve: Array) -> float:
    """The threshold, in logits, amid those of the grid at which a curve of scores [T] is highest."""
    return float(logit(_GRID[curve == curve.max()]).mean())


def _drawn_to(neutral: float, best: Array) -> float:
    """The mean of the best thresholds [B], in logits, shrunk towards a neutral one.

    Example:
        >>> scattered, agreed = np.array([-3.0, 3.2]), np.array([1.0, 1.2])
        >>> round(_drawn_to(0.5, scattered), 3), round(_drawn_to(0.5, agreed), 3)
        (0.5, 0.749)
    """
    start = logit(np.array([neutral]))
    away = best.mean() - start
    kept = np.maximum(0.0, 1.0 - best.var() / np.maximum(away**2, _EDGE))
    return float(sigmoid(start + kept * away)[0])


def remap(p: npt.ArrayLike, t: npt.ArrayLike) -> Array:
    """Moves the threshold t to 0.5 by a shift in logits, which keeps every order.

    Args:
        p: probabilities in [0, 1], any shape.
        t: the threshold in (0, 1), one or one per probability; p > t stays road work.

    Returns:
        float64 of the same shape, in [1e-6, 1 - 1e-6] and never within 1e-4 of 0.5.

    Raises:
        CalibrationError: NaN or values outside [0, 1], or t outside (0, 1).

    Example:
        >>> remap([0.2, 0.3, 0.31], 0.3).round(4).tolist()
        [0.3684, 0.4999, 0.5118]
    """
    values, t = np.asarray(p, np.float64), np.asarray(t, np.float64)
    if not ((t > 0.0) & (t < 1.0)).all() or not ((values >= 0.0) & (values <= 1.0)).all():
        raise CalibrationError(
            got=f"thresholds {_range(t)} and probabilities {_range(values)}",
            allowed="a threshold in (0, 1), probabilities in [0, 1], no NaN",
            action="calibrate again; a stage gave no usable score",
        )
    above = values > t
    moved = np.clip(sigmoid(logit(values) - logit(t)), _EDGE, 1.0 - _EDGE)
    return np.where(above, np.maximum(moved, 0.5 + _AWAY_FROM_HALF), np.minimum(moved, 0.5 - _AWAY_FROM_HALF))


def _range(values: Array) -> str:
    return f"from {values.min()} to {values.max()}" if values.size else "(none)"
