"""Which world a row shows: photographs, or frames in which something was rendered or drawn.

Example:
    >>> [world_of(origin) for origin in ("Udacity CarND", "Udacity CarND (composed)", "stream: rendered-drive")]
    ['real', 'rendered', 'rendered']
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

World = Literal["real", "rendered"]

_STREAM: Final = "stream: "
_RENDERED: Final = frozenset(
    {
        "street world (rendered)",
        "rendered-drive",
        "rendered-scene",
        "rendered-synthetic",
        "generated-synthetic",
    }
)
_COMPOSED: Final = "(composed)"


def world_of(origin: str) -> World:
    """The world of an origin: composed twins count as rendered, because what they show of road work is."""
    bare = origin.removeprefix(_STREAM)
    return "rendered" if bare in _RENDERED or bare.endswith(_COMPOSED) else "real"


def real_rows(origins: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Mask [N] of the rows that are photographs."""
    return np.array([world_of(origin) == "real" for origin in origins], np.bool_)
