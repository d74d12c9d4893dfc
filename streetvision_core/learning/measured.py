"""Which groups teach and which measure: by the group's name alone, and for good.

Of the groups that the blind random probe drew from the stream, a share is kept for CALIBRATE and TEST from the night
of the draw on. Their rows teach nothing, and measure once a person has labelled them.

Example:
    >>> chosen = choose_measured(["drive-1", "drive-2", "drive-3"], taught={"drive-2"}, known={}, share=1.0)
    >>> sorted(chosen), choose_measured(["drive-4"], set(), chosen, 0.0) == chosen
    (['drive-1', 'drive-3'], True)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Final

from streetvision_core.data.splits import FRACTIONS
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Split

SELECT_SHARE: Final = 0.15
"""Share of the teaching groups that choose the head instead of fitting it."""
MEASURED_FILE: Final = "measured.json"


def split_of_group(group: str) -> Split:
    """TRAIN or SELECT of a group that teaches; it lands on the same side every night."""
    return Split.SELECT if _draw(group) < SELECT_SHARE else Split.TRAIN


def split_of_photos(group: str) -> Split:
    """One of the four splits, for a group of photographs that somebody brought."""
    draw, bound = _draw(f"photos:{group}"), 0.0
    for split, share in zip(Split, FRACTIONS, strict=True):
        bound += share
        if draw < bound:
            return split
    return Split.TEST


def choose_measured(
    drawn: Iterable[str], taught: Container[str], known: Mapping[str, Split], share: float
) -> dict[str, Split]:
    """The groups that measure, each with its split: those known, and those of the newly drawn that the hash picks.

    Args:
        drawn: groups of which the random probe has drawn a frame.
        taught: groups that have taught before; they can measure nothing.
        known: what earlier nights chose; it stays.
        share: of the drawn groups, in [0, 1]; half of it calibrates, half tests.
    """
    new = (group for group in drawn if group not in known and group not in taught)
    return {**known, **{group: _measures(group) for group in new if _draw(f"measured:{group}") < share}}


def load_measured(data: Path) -> dict[str, Split]:
    """What earlier nights chose; empty before the first."""
    path = data / MEASURED_FILE
    return {group: Split(split) for group, split in json.loads(path.read_text()).items()} if path.exists() else {}


def record_measured(data: Path, measured: Mapping[str, Split]) -> None:
    """Keeps the choice for the nights to come."""
    atomic_write_json(data / MEASURED_FILE, {group: str(split) for group, split in measured.items()})


def _measures(group: str) -> Split:
    return Split.CALIBRATE if _draw(f"calibrate:{group}") < 1 / 2 else Split.TEST


def _draw(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
