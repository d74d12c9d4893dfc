"""How probabilities are spread over fixed bins: a version's card keeps its own spread, the server compares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

EDGES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Between the twelve bins; a probability on an edge belongs to the upper one."""
REFERENCE_CARD: Final = "p_reference"
"""Where a version's card keeps its shares over CALIBRATE."""
_EDGES: Final = np.array(EDGES)


def shares_of(probabilities: Iterable[float]) -> tuple[float, ...]:
    """Share of probabilities in each bin; empty for none at all.

    Example:
        >>> shares_of([0.01, 0.97, 0.97, 0.5])[:1], shares_of([0.01, 0.97, 0.97, 0.5])[-1]
        ((0.25,), 0.5)
    """
    bins = np.digitize(np.fromiter(probabilities, np.float64), _EDGES)
    if not len(bins):
        return ()
    return tuple(float(n) for n in np.bincount(bins, minlength=len(EDGES) + 1) / len(bins))
