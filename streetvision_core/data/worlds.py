"""Which world a row shows: photographs, or frames in which something was rendered or drawn.

Example:
    >>> [world_of(origin) for origin in ("Udacity CarND", "Udacity CarND (composed)", "stream: rendered-drive")]
    ['real', 'rendered', 'rendered']
"""

from __future__ import annotations

from typing import Final, Literal

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
