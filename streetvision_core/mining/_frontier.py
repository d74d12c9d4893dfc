"""The rows that may still be chosen, and which of them is best: greedy, hard and far from what was chosen.

Distances only shrink and rows only close. So what a block's best row was worth when the block was last looked at is a
bound, and only the block with the largest bound has to be looked at again, until the largest is up to date (lazy
greedy; Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978). The choices are those of
a search through all rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streetvision_core.mining.diversity import BLOCK, Spread


class Frontier:
    """Takes rows one by one and closes what they make superfluous.

    Args:
        hardness: float64 [N].
        groups: a name per row.
        spread: distances of the same N rows.
        group_cap: most rows one group may give.
        diversity: a row is worth (1 - diversity) * hardness + diversity * distance.

    Attributes:
        chosen: row numbers in the order they were taken.
        near_duplicates: how many open rows repeated one that was taken or known; complete after `settle`.
    """

    def __init__(
        self, hardness: npt.NDArray[np.float64], groups: Sequence[str], spread: Spread, group_cap: int, diversity: float
    ) -> None:
        self._spread, self._diversity = spread, diversity
        self._fixed = (1.0 - diversity) * hardness
        self._open = np.ones(len(hardness), np.bool_)
        numbers: dict[str, int] = {}
        self._group = np.array([numbers.setdefault(name, len(numbers)) for name in groups], np.int64)
        self._left = np.full(len(numbers), group_cap)
        self._full_since = np.full(len(numbers), len(hardness) + 1)
        self._bound = np.full(spread.blocks, np.inf)
        self._best = np.zeros(spread.blocks, np.int64)
        self.chosen: list[int] = []
        self.near_duplicates = 0

    def is_open(self, row: int) -> bool:
        """Whether the row may be taken, as far as is known before it is compared with the chosen ones."""
        return bool(self._open[row] and self._left[self._group[row]] > 0)

    def offer(self, row: int) -> bool:
        """Takes an open row, unless it is a near-duplicate of one taken before; says whether it did."""
        self._open[row] = False
        duplicate = self._spread.is_duplicate(row)
        if duplicate:
            self.near_duplicates += 1
        else:
            self._take(row)
        self._rate(row // BLOCK)
        return not duplicate

    def best(self) -> int | None:
        """The open row that is worth most, the first among equals; None where no row is open."""
        while len(self._bound):
            block = int(self._bound.argmax())
            if self._bound[block] == -np.inf:
                return None
            row = int(self._best[block])
            if not self._spread.is_behind(block) and self._bound[block] < np.inf and self.is_open(row):
                return row
            self._catch_up(block)
        return None

    def settle(self) -> None:
        """Brings every block up to date, so that all near-duplicates are counted."""
        for block in range(self._spread.blocks):
            self._catch_up(block)

    def _take(self, row: int) -> None:
        group = self._group[row]
        self.chosen.append(row)
        self._spread.choose(row)
        self._left[group] -= 1
        if self._left[group] == 0:
            self._full_since[group] = len(self.chosen)

    def _catch_up(self, block: int) -> None:
        rows, choices = self._spread.catch_up(block, self._open)
        # A row counts where its group was not full yet when the choice that it repeats was made.
        self.near_duplicates += int((self._full_since[self._group[rows]] > choices + 1).sum())
        self._open[rows] = False
        self._rate(block)

    def _rate(self, block: int) -> None:
        """Finds the best row of a block by the distances it has."""
        rows = slice(block * BLOCK, (block + 1) * BLOCK)
        worth = self._fixed[rows] + self._diversity * self._spread.distance[rows]
        worth[~self._open[rows] | (self._left[self._group[rows]] <= 0)] = -np.inf
        best = int(worth.argmax())
        self._bound[block], self._best[block] = worth[best], rows.start + best
