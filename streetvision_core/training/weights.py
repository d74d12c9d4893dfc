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

PSEUDO: Final = "pseudo: "
"""Begins the origin of rows that a teacher model has labelled, not a person."""

Weights = npt.NDArray[np.float64]


def photo_weights(ids: Sequence[str], weights: npt.ArrayLike) -> Weights:
    """What each row weighs when the variants of a photo together weigh as much as the heaviest of them alone.

    Args:
        ids: row names; variants of one photo differ only after `VARIANT_MARK`.
        weights: weights of the rows against each other, [N].

    Returns:
        float64 [N].

    Example:
        >>> photo_weights(["a#native", "a#crop-224#0", "b"], [1.0, 0.25, 1.0]).tolist()
        [0.8, 0.2, 1.0]
    """
    own = np.asarray(weights, np.float64)
    if not ids:
        return own
    _, photo = np.unique(np.array([name.split(VARIANT_MARK, 1)[0] for name in ids]), return_inverse=True)
    totals, heaviest = np.bincount(photo, own), np.zeros(photo.max() + 1)
    np.maximum.at(heaviest, photo, own)
    factor = np.divide(heaviest, totals, out=np.zeros_like(totals), where=totals > 0)
    return np.asarray(own * factor[photo], np.float64)


def row_weights(table: FeatureTable, balance: Balance, real_share: float = 0.7) -> Weights:
    """Training weights of a table's rows, mean 1.

    Args:
        table: labelled rows; `table.weights` multiplies what is computed here.
        balance: `class` gives both classes the same total; `origin` also spreads each class over its origins in
            proportion to the square root of their size.
        real_share: share of each class's weight that really labelled rows have where pseudo-labelled ones take part.

    Returns:
        float64 [N], mean 1 over the rows of positive weight.
    """
    weights = photo_weights(table.ids, table.weights)
    weights = balanced(weights, table.labels, table.origins if balance == "origin" else None)
    return _share(weights, table, real_share)


def _share(weights: Weights, table: FeatureTable, real_share: float) -> Weights:
    """Rescales real and pseudo-labelled rows of each class to their shares; a class of one kind only stays as it is."""
    pseudo = np.array([origin.startswith(PSEUDO) for origin in table.origins], bool)
    shared = weights.copy()
    for label in np.unique(table.labels):
        here = table.labels == label
        total, real = weights[here].sum(), weights[here & ~pseudo].sum()
        if 0 < real < total:
            shared[here & ~pseudo] *= real_share * total / real
            shared[here & pseudo] *= (1.0 - real_share) * total / (total - real)
    return shared


def balanced(weights: Weights, labels: npt.NDArray[np.integer], origins: Sequence[str] | None = None) -> Weights:
    """Rescales weights [N] so that both classes have the same total and, within a class, origins their square roots.

    Args:
        weights: what each row would weigh.
        labels: 0 or 1, [N].
        origins: the origin of each row; left out, only the classes are balanced.

    Returns:
        float64 [N], mean 1 over the rows of positive weight.

    Example:
        >>> balanced(np.ones(4), np.array([1, 0, 0, 0])).round(3).tolist()
        [2.0, 0.667, 0.667, 0.667]
    """
    if origins is not None:
        cells = np.array([f"{label}/{origin}" for label, origin in zip(labels, origins, strict=True)])
        weights = _spread(weights, cells, _ORIGIN_POWER)
    weights = _spread(weights, labels.astype(str), 0.0)
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
