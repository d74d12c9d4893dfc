"""A spread-out choice among many rows: greedy farthest-point selection that prefers hard rows.

Distances for the spread are taken after a random projection to a few dimensions (Johnson and Lindenstrauss), which
makes each step a small matrix-vector product even for 100,000 rows. Near-duplicates are judged by the exact cosine.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]

PROJECTED_DIMS: Final = 64
_BLOCK: Final = 4096
_NOMINATION_ERRORS: Final = 4.0


def project(features: Float32, dims: int = PROJECTED_DIMS, seed: int = 0) -> Float32:
    """L2-normalises rows and projects them to unit vectors of `dims` dimensions, block by block.

    Args:
        features: float32 [N, D].
        dims: target dimensions; rows that are no longer than this are only normalised.
        seed: of the projection.

    Returns:
        float32 [N, min(D, dims)], rows of length 1 (0 for a zero row).
    """
    n, width = features.shape
    matrix = None
    if width > dims:
        matrix = np.random.default_rng(seed).standard_normal((width, dims)).astype(np.float32)
    result = np.empty((n, min(width, dims)), np.float32)
    for start in range(0, n, _BLOCK):
        block = features[start : start + _BLOCK]
        result[start : start + _BLOCK] = _unit(block if matrix is None else block @ matrix)
    return result


class Spread:
    """Keeps, for every row, the distance to what was chosen so far.

    Args:
        features: float32 [N, D].
        cosine: rows at least this similar to a chosen one are near-duplicates.
        known: float32 [M, D], rows chosen on earlier days: they repel, and their near-duplicates are refused.
        seed: of the projection.
    """

    def __init__(self, features: Float32, cosine: float, known: Float32 | None = None, seed: int = 0) -> None:
        self._features = features
        self._cosine = cosine
        # The standard error of a projected cosine c is about (1 - c^2) / sqrt(dims).
        self._margin = _NOMINATION_ERRORS * (1.0 - cosine**2) / PROJECTED_DIMS**0.5
        self._projected = project(features, seed=seed)
        self._chosen = np.empty((0, features.shape[1]), np.float32)
        self._n_chosen = 0
        self.distance = np.ones(len(features), np.float32)
        if known is not None and len(known):
            self._remember(_unit(known))
            for point in project(known, seed=seed):
                self._shrink(point)

    def is_duplicate(self, row: int) -> bool:
        """Whether a row is a near-duplicate of a chosen one, by the exact cosine."""
        similar = self._chosen[: self._n_chosen] @ self._unit_row(row)[0]
        return bool(len(similar) and similar.max() >= self._cosine)

    def choose(self, row: int) -> npt.NDArray[np.int64]:
        """Marks a row as chosen; returns the rows that are its near-duplicates, itself among them.

        The projection nominates them, the exact cosine decides; `is_duplicate` finds what it failed to nominate.
        """
        point = self._unit_row(row)
        self._remember(point)
        similar = self._shrink(self._projected[row])
        nominated = np.flatnonzero(similar >= self._cosine - self._margin)
        exact = _unit(self._features[nominated]) @ point[0]
        duplicates: npt.NDArray[np.int64] = nominated[(exact >= self._cosine) | (nominated == row)]
        return duplicates

    def _unit_row(self, row: int) -> Float32:
        return _unit(self._features[row : row + 1])

    def _remember(self, rows: Float32) -> None:
        needed = self._n_chosen + len(rows)
        if needed > len(self._chosen):
            grown = np.empty((max(needed, 2 * len(self._chosen), 64), self._chosen.shape[1]), np.float32)
            grown[: self._n_chosen] = self._chosen[: self._n_chosen]
            self._chosen = grown
        self._chosen[self._n_chosen : needed] = rows
        self._n_chosen = needed

    def _shrink(self, point: Float32) -> Float32:
        # Not `@`: bound by memory, it gains nothing from BLAS's threads and waits for them on a busy machine.
        similar: Float32 = np.einsum("ij,j->i", self._projected, point)
        np.minimum(self.distance, 1.0 - similar, out=self.distance)
        return similar


class GroupCap:
    """Counts chosen rows per group and says which rows are still open.

    Args:
        groups: a name per row.
        cap: most rows one group may give.
    """

    def __init__(self, groups: tuple[str, ...], cap: int) -> None:
        _, self._codes = np.unique(np.array(groups, str), return_inverse=True)
        self._left = np.full(int(self._codes.max(initial=-1)) + 1, cap)
        self.open = np.ones(len(groups), np.bool_)

    def choose(self, row: int) -> None:
        """Closes the row, and its group when that is full."""
        code = self._codes[row]
        self._left[code] -= 1
        self.open[row] = False
        if self._left[code] == 0:
            self.open[self._codes == code] = False

    def refuse(self, rows: npt.NDArray[np.int64]) -> int:
        """Closes rows without counting them for their groups; returns how many of them were open."""
        closed = int(self.open[rows].sum())
        self.open[rows] = False
        return closed


def next_row(hardness: npt.NDArray[np.float64], spread: Spread, cap: GroupCap, diversity: float) -> int | None:
    """The open row with the largest (1 - diversity) * hardness + diversity * distance; the first among equals."""
    gain = (1.0 - diversity) * hardness + diversity * spread.distance
    gain[~cap.open] = -np.inf
    best = int(np.argmax(gain)) if len(gain) else 0
    return best if len(gain) and np.isfinite(gain[best]) else None


def _unit(rows: Float32) -> Float32:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    # A row that is zero or not finite becomes zero: as far from everything as anything can be, and no error.
    unit: Float32 = np.divide(rows, lengths, out=np.zeros_like(rows), where=np.isfinite(lengths) & (lengths > 0))
    return unit
