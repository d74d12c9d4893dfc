"""Which seeds of the rendered world belong to whom. Nothing rendered for one use is ever rendered for another.

| range | use |
|---|---|
| `FREE` | detectors' training, tests, notebooks, benchmarks |
| `HELDOUT` | first half: the fixed set the gate decides on; second half: the challenge set; never trained on |
| `SYNTHETIC` | frames rendered to order for the failure modes of a day |
| `STREAM` | the queries of a simulated day |

All ranges lie below 2^31, so that any library takes them. Within `STREAM` and `SYNTHETIC` every day has its own block.

Example:
    >>> block(SYNTHETIC, seed=0, day_index=1).start - block(SYNTHETIC, seed=0, day_index=0).start
    4096
"""

from __future__ import annotations

from typing import Final

from streetvision_core.errors import DataError

FREE: Final = range(0, 2**28)
HELDOUT: Final = range(2**28, 2**29)
SYNTHETIC: Final = range(2**29, 2**30)
STREAM: Final = range(2**30, 2**31)
RANGES: Final = {"free": FREE, "heldout": HELDOUT, "synthetic": SYNTHETIC, "stream": STREAM}

DAYS_PER_PROJECT: Final = 3653
_BLOCK_SIZES: Final = {HELDOUT: 2**16, SYNTHETIC: 2**12, STREAM: 2**12}


def block(seeds: range, *, seed: int, day_index: int = 0) -> range:
    """The seeds of one day of one project.

    Args:
        seeds: `HELDOUT`, `SYNTHETIC` or `STREAM`.
        seed: the project's seed; two projects may share seeds, two days of one project never do.
        day_index: 0 for the first day; the held-out set has only day 0.

    Raises:
        DataError: the day lies outside the range that has blocks.
    """
    size = _BLOCK_SIZES[seeds]
    days = 1 if seeds == HELDOUT else DAYS_PER_PROJECT
    if not 0 <= day_index < days or seed < 0:
        raise DataError(
            got=f"day {day_index} of seed {seed}",
            allowed=f"days 0 to {days - 1} and a seed of 0 or more",
            action="count days from the first day of the project",
        )
    slots = len(seeds) // size
    slot = (seed * days + day_index) % slots
    return seeds[slot * size : (slot + 1) * size]


def take(seeds: range, n: int) -> range:
    """The first n seeds of a block.

    Raises:
        DataError: the block has fewer.
    """
    if not 0 <= n <= len(seeds):
        raise DataError(
            got=f"{n} scenes for one block of seeds",
            allowed=f"0 to {len(seeds)}",
            action="ask for fewer frames, or spread them over more days",
        )
    return seeds[:n]


def owner(seed: int) -> str | None:
    """The name of the range a seed belongs to, None for a seed of nobody."""
    return next((name for name, seeds in RANGES.items() if seed in seeds), None)
