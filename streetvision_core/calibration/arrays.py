"""Array types and small numeric helpers of the calibration and cascade rooms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import CalibrationError

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

TINY: Final = 1e-12


def sigmoid(x: Array) -> Array:
    """The logistic function without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)), np.float64)


def logit(p: npt.ArrayLike) -> Array:
    """The inverse of `sigmoid`; 0 and 1 are drawn in by 1e-12."""
    inside = np.clip(np.asarray(p, np.float64), TINY, 1.0 - TINY)
    return np.asarray(np.log(inside) - np.log1p(-inside), np.float64)


def row_log_losses(p: Array, y: Labels) -> Array:
    """Log-loss of each probability, [N]."""
    return np.asarray(-np.log(np.maximum(np.where(y == 1, p, 1.0 - p), TINY)), np.float64)


def log_loss(p: Array, y: Labels, weights: Array) -> float:
    """Weighted mean log-loss of probabilities."""
    return float(np.average(row_log_losses(p, y), weights=weights))


def checked_scores(scores: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Labels]:
    """Scores [N] (or [N, 1]) and 0/1 labels [N] of equal length, finite and of both classes.

    Raises:
        CalibrationError: anything else.
    """
    x = np.asarray(scores, np.float64)
    x = x[:, 0] if x.ndim == 2 and x.shape[1] == 1 else x
    labels = np.asarray(y).astype(np.int64)
    if x.ndim != 1 or x.shape != labels.shape or not np.isfinite(x).all():
        raise _refused(f"scores {x.shape} and labels {labels.shape}, finite: {bool(np.isfinite(x).all())}")
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise _refused(f"{len(labels)} rows with labels {np.unique(labels).tolist()}")
    if np.ptp(x) == 0:
        raise _refused(f"{len(labels)} rows that all score {x[0]:.4g}")
    return x, labels


def checked_weights(weights: npt.ArrayLike | None, n: int) -> Array:
    """Row weights, 1 if not given."""
    return np.ones(n) if weights is None else np.asarray(weights, np.float64)


def row_groups(groups: Sequence[str] | None, n: int) -> list[str]:
    """The group of each row; a row alone is its own group."""
    return [str(i) for i in range(n)] if groups is None else list(groups)


def _refused(got: str) -> CalibrationError:
    return CalibrationError(
        got=got,
        allowed="finite scores [N] that vary, with labels 0 and 1 that both occur",
        action="put more labelled frames of both classes into CALIBRATE",
    )
