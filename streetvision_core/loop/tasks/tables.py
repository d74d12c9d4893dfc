"""The tables of a day: real photos, held-out scenes, and what the days so far have added."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.rendered import heldout_table
from streetvision_core.mining.balance import Balanced, balance_stream
from streetvision_core.types import Split

ADDED_FILES: Final = ("mined.npz", "synthetic.npz", "generated.npz", "pseudo.npz")
"""What a day may add: reviewed, rendered, generated and teacher-labelled rows."""

SELECT_SHARE: Final = 0.15
"""Share of the mined groups that choose the head instead of fitting it."""


def real_table() -> FeatureTable:
    """The starter pack's photos: features, fixed splits."""
    return load_starter().table


def base_table(day: Day) -> FeatureTable:
    """What is there before the first day: photos and their composed twins, and the held-out scenes."""
    return FeatureTable.concat([load_starter().training_table(), heldout_table(day)])


def split_of_group(group: str) -> Split:
    """TRAIN or SELECT, by the group's name alone, so that a group lands on the same side every day."""
    draw = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") / 2**32
    return Split.SELECT if draw < SELECT_SHARE else Split.TRAIN


def stream_tables(day: Day) -> list[FeatureTable]:
    """What each day up to this one has mined and synthesized, one table a day."""
    tables = []
    for date in sorted((day.workspace.data / "days").glob("????-??-??")):
        if date.name <= day.date.isoformat():
            added = [FeatureTable.load(date / name) for name in ADDED_FILES if (date / name).exists()]
            tables += [FeatureTable.concat(added)] if added else []
    return tables


def balanced_stream(day: Day) -> Balanced:
    """The stream's rows under the caps, weighed so that they do not drown the base data."""
    return balance_stream(base_table(day), stream_tables(day), day.settings.balance)


def learning_table(day: Day) -> FeatureTable:
    """Everything the day may learn from and is judged on: real photos, held-out scenes, the stream so far, balanced."""
    base = base_table(day)
    stream = balance_stream(base, stream_tables(day), day.settings.balance).table
    return base if stream is None else FeatureTable.concat([base, stream])


def test_rows(table: FeatureTable) -> np.ndarray:
    """Mask [N] of the rows the gate looks at: TEST, labelled."""
    return np.asarray(table.in_split(Split.TEST) & (table.labels >= 0))
