"""How far each of many rows is from what was chosen so far, and which rows repeat it.

Distances are taken after a random projection to a few dimensions (Johnson and Lindenstrauss), block by block and only
when a block is asked for, so that many choices meet a block in one matrix product. Near-duplicates are judged by the
exact cosine.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

PROJECTED_DIMS: Final = 64
BLOCK: Final = 1024
"""Rows that are brought up to date together."""
_PROJECTED_AT_ONCE: Final = 4096
_CHOICES_AT_ONCE: Final = 64
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
    for start in range(0, n, _PROJECTED_AT_ONCE):
        block = features[start : start + _PROJECTED_AT_ONCE]
        result[start : start + _PROJECTED_AT_ONCE] = _unit(block if matrix is None else block @ matrix)
    return result


class Spread:
    """Keeps, for every row, the distance to what was chosen so far.

    Args:
        features: float32 [N, D].
        cosine: rows at least this similar to a chosen one are near-duplicates.
        known: float32 [M, D], rows chosen on earlier days: they repel, and `is_duplicate` knows them.
        seed: of the projection.

    Attributes:
        distance: float32 [N], 1 - the largest projected cosine to a chosen row; as of the block's last `catch_up`.
    """

    def __init__(self, features: Float32, cosine: float, known: Float32 | None = None, seed: int = 0) -> None:
        self._features = features
        self._cosine = cosine
        # The standard error of a projected cosine c is about (1 - c^2) / sqrt(dims).
        self._margin = _NOMINATION_ERRORS * (1.0 - cosine**2) / PROJECTED_DIMS**0.5
        self._projected = project(features, seed=seed)
        self._exact, self._points = _Stack(features.shape[1]), _Stack(self._projected.shape[1])
        self.distance = np.ones(len(features), np.float32)
        self.blocks = -(-len(features) // BLOCK)
        self._seen = np.zeros(self.blocks, np.int64)
        self._known = 0 if known is None else len(known)
        if known is not None:
            self._exact.push(_unit(known))
            self._points.push(project(known, seed=seed))

    def is_duplicate(self, row: int) -> bool:
        """Whether a row is a near-duplicate of a chosen or known one, by the exact cosine."""
        similar = self._exact.rows @ self._unit_row(row)[0]
        return bool(len(similar) and similar.max() >= self._cosine)

    def choose(self, row: int) -> None:
        """Marks a row as chosen."""
        self._exact.push(self._unit_row(row))
        self._points.push(self._projected[row : row + 1])

    def is_behind(self, block: int) -> bool:
        """Whether rows were chosen that the block has not met yet."""
        return bool(self._seen[block] < len(self._points.rows))

    def catch_up(self, block: int, asked: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Brings a block's distances up to date.

        Args:
            block: rows `block * BLOCK` and on.
            asked: bool [N], rows that are compared for being near-duplicates.

        Returns:
            The rows that are near-duplicates of a choice the block had not met, and for each the number of the first
            such choice, 0 for the first ever. The projection nominates them, the exact cosine decides;
            `is_duplicate` finds what it failed to nominate.
        """
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        asked = asked[rows].copy()
        found: list[Rows] = [np.empty((2, 0), np.int64)]
        for start in range(int(self._seen[block]), len(self._points.rows), _CHOICES_AT_ONCE):
            similar = self._projected[rows] @ self._points.rows[start : start + _CHOICES_AT_ONCE].T
            np.minimum(self.distance[rows], 1.0 - similar.max(axis=1), out=self.distance[rows])
            if start + similar.shape[1] > self._known:
                at, choice = self._repeated(
                    rows.start, start, (similar >= self._cosine - self._margin) & asked[:, None]
                )
                asked[at] = False
                found.append(np.stack([rows.start + at, choice]))
        self._seen[block] = len(self._points.rows)
        where, of = np.concatenate(found, axis=1)
        return where, of

    def _repeated(self, first: int, start: int, nominated: npt.NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """Which rows of a block, counted within it, repeat one of the points from `start` on, and which choice."""
        nominated[:, : max(self._known - start, 0)] = False
        at = np.flatnonzero(nominated.any(axis=1))
        exact = _unit(self._features[first + at]) @ self._exact.rows[start : start + nominated.shape[1]].T
        same = nominated[at] & (exact >= self._cosine)
        hit = same.any(axis=1)
        return at[hit], start - self._known + same[hit].argmax(axis=1)

    def _unit_row(self, row: int) -> Float32:
        return _unit(self._features[row : row + 1])


class _Stack:
    """Rows of one width that grow in number; room is doubled, so that a push costs little."""

    def __init__(self, width: int) -> None:
        self._room = np.empty((64, width), np.float32)
        self.rows = self._room[:0]

    def push(self, more: Float32) -> None:
        """Puts rows behind the others."""
        before, needed = len(self.rows), len(self.rows) + len(more)
        if needed > len(self._room):
            grown = np.empty((max(needed, 2 * len(self._room)), self._room.shape[1]), np.float32)
            grown[:before] = self.rows
            self._room = grown
        self._room[before:needed] = more
        self.rows = self._room[:needed]


def _unit(rows: Float32) -> Float32:
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    # A row that is zero or not finite becomes zero: as far from everything as anything can be, and no error.
    unit: Float32 = np.divide(rows, lengths, out=np.zeros_like(rows), where=np.isfinite(lengths) & (lengths > 0))
    return unit
