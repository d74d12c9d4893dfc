"""The decision threshold: where a rule's expected score is largest, and the map that moves it to 0.5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, logit, row_groups, sigmoid
from streetvision_core.errors import CalibrationError
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import resample_groups
from streetvision_core.scoring.objectives import Objective

_GRID: Final = 1.0 / (1.0 + np.exp(-np.linspace(-6.0, 6.0, 121)))
_RESAMPLES: Final = 100
_AWAY_FROM_HALF: Final = 1e-4
"""Half-way answers are moved this far from 0.5, enough to survive rounding to four decimals."""
_EDGE: Final = 1e-6
_TIE: Final = 1e-12
"""Scores this close are equal: sums of the same masses round differently."""


def best_threshold(
    p: npt.ArrayLike,
    goal: Objective,
    groups: Sequence[str] | None = None,
    *,
    prevalence: float,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> float:
    """The decision threshold at which a rule's expected score is largest, in a stream of a stated prevalence.

    What a threshold would find and call falsely is counted in the probabilities themselves: a row of 0.7 is 0.7 of a
    frame with road work and 0.3 of one without; each class is then weighted to its share of the stream. Labels enter
    through the calibrator alone. Counting labels instead was tried: among a few dozen rows, a single surest negative
    decides the threshold of a rare class, and the best thresholds of bootstrap samples agree on that one row
    (docs/log.md). The mean, in logits, over bootstrap samples of groups steadies what is left.

    Args:
        p: calibrated probabilities of rows that their calibrator has not seen, [N].
        goal: what is to be large, see `scoring.objectives`.
        groups: the group of each row; each row its own if left out.
        prevalence: share of road work in the stream the threshold is for, in (0, 1).
        resamples: bootstrap samples.
        seed: of the resampling.

    Returns:
        t* in [0.0025, 0.9975].

    Example:
        >>> from streetvision_core.scoring.objectives import objective
        >>> p = np.linspace(0.01, 0.99, 99)                    # half of it road work
        >>> [round(best_threshold(p, objective("sn72"), prevalence=share), 1) for share in (0.5, 0.1)]
        [0.5, 0.8]
    """
    probabilities = np.asarray(p, np.float64)
    rows, drawn = resample_groups(row_groups(groups, len(probabilities)), resamples, seed)
    best = [_best(probabilities, times[rows], goal, prevalence) for times in drawn]
    return float(sigmoid(np.array([np.mean(best)]))[0])


def raise_threshold(t: float, logits: float) -> float:
    """A threshold moved upwards by so many logits.

    Example:
        >>> round(raise_threshold(0.38, 1.4), 2)
        0.71
    """
    return float(sigmoid(logit(np.array([t])) + logits)[0])


def _best(p: Array, weights: Array, goal: Objective, prevalence: float) -> float:
    """The best threshold of the grid, in logits; the middle of the stretch where several are equal."""
    order = np.argsort(p)
    below = np.searchsorted(p[order], _GRID, side="right")
    recall = 1.0 - _share_below(weights * p, order, below)
    specificity = _share_below(weights * (1.0 - p), order, below)
    scores = goal(Confusion.from_rates(recall, specificity, prevalence))
    return float(logit(_GRID[scores >= scores.max() - _TIE]).mean())


def _share_below(mass: Array, order: npt.NDArray[np.intp], below: npt.NDArray[np.intp]) -> Array:
    """The share of a mass [N] that lies in the first rows of an order, for each number of rows [T]."""
    summed = np.concatenate([[0.0], np.cumsum(mass[order])])
    return np.asarray(summed[below] / summed[-1])


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
