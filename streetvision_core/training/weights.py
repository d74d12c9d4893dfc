"""Row weights: each photo counts once, classes and origins are balanced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable

Balance = Literal["class", "origin"]
BALANCES: Final[tuple[Balance, ...]] = get_args(Balance)
VARIANT_MARK: Final = "#"
"""What follows this mark in a row's id names the era variant, e.g. `gtsdb/00012.jpg#crop-224#1`."""
_ORIGIN_POWER: Final = 0.5
"""An origin's total weight grows with the square root of its size: 9 frames of one clip must not weigh as much as
200 scenes, nor may the rendered world drown the photos."""

Weights = npt.NDArray[np.float64]


def photo_share(ids: Sequence[str]) -> Weights:
    """The share of its photo that each row carries.

    Args:
        ids: row names; variants of one photo differ only after `VARIANT_MARK`.

    Returns:
        float64 [N]; the rows of one photo sum to 1.

    Example:
        >>> photo_share(["a#native", "a#crop-224#0", "b"]).tolist()
        [0.5, 0.5, 1.0]
    """
    if not ids:
        return np.zeros(0)
    photos = np.array([name.split(VARIANT_MARK, 1)[0] for name in ids])
    _, inverse, counts = np.unique(photos, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / counts[inverse], np.float64)


def row_weights(table: FeatureTable, balance: Balance) -> Weights:
    """Training weights of a table's rows, mean 1.

    Args:
        table: labelled rows; `table.weights` multiplies what is computed here.
        balance: `class` gives both classes the same total; `origin` also spreads each class over its origins in
            proportion to the square root of their size.

    Returns:
        float64 [N], mean 1 over the rows of positive weight.
    """
    weights = photo_share(table.ids) * table.weights.astype(np.float64)
    if balance == "origin":
        cells = np.array([f"{label}/{origin}" for label, origin in zip(table.labels, table.origins, strict=True)])
        weights = _spread(weights, cells, _ORIGIN_POWER)
    weights = _spread(weights, table.labels.astype(str), 0.0)
    used = weights > 0
    return weights / weights[used].mean() if used.any() else weights


def _spread(weights: Weights, cells: npt.NDArray[np.str_], power: float) -> Weights:
    """Rescales each cell so that its total becomes total ** power."""
    _, inverse = np.unique(cells, return_inverse=True)
    totals = np.bincount(inverse, weights)
    factor = np.zeros_like(totals)
    some = totals > 0
    factor[some] = totals[some] ** (power - 1.0)
    return np.asarray(weights * factor[inverse], np.float64)
