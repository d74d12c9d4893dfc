"""Shapes and ranges every score needs, checked once with a named error."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError

IntArray = npt.NDArray[np.integer[Any]]
Doubles = npt.NDArray[np.float64]


def checked(p: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Probabilities and labels as arrays, or a named error.

    Args:
        p: probabilities in [0, 1], [N].
        y: labels 0 or 1, [N].

    Returns:
        p as float64 and y as bool.

    Raises:
        DataError: empty, of different lengths, out of range or NaN.
    """
    probabilities, labels = same_shape(p, y)
    if probabilities.ndim != 1 or probabilities.size == 0:
        raise DataError(
            got=f"probabilities of shape {probabilities.shape}",
            allowed="[N] with N >= 1",
            action="pass one row per frame",
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise DataError(
            got=f"{int((~((probabilities >= 0) & (probabilities <= 1))).sum())} probabilities outside [0, 1] or NaN",
            allowed="probabilities in [0, 1]",
            action="drop unanswered rows first; only the SN72 rule knows what -1 means",
        )
    return probabilities, labels


def same_shape(p: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Doubles, npt.NDArray[np.bool_]]:
    """Predictions of any value and labels 0 or 1 of the same shape.

    Raises:
        DataError: different shapes, or a label that is neither 0 nor 1.
    """
    predictions, labels = np.asarray(p, np.float64), np.asarray(y)
    if predictions.shape != labels.shape:
        raise DataError(
            got=f"predictions {predictions.shape} and labels {labels.shape}",
            allowed="the same shape",
            action="pass one label per prediction",
        )
    if not np.isin(labels, (0, 1)).all():
        raise DataError(
            got=f"labels {np.unique(labels)[:5].tolist()}",
            allowed="0 (none) and 1 (roadwork)",
            action="leave ambiguous and unlabelled frames out",
        )
    return predictions, labels.astype(bool)
