"""The tables of a day: real photos, held-out scenes, and what the days so far have added."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np

from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.decode import decode_image
from streetvision_core.loop.tasks.day import Day
from streetvision_core.mining.balance import Balanced, balance_stream
from streetvision_core.mining.stream import StreamQuery, heldout_stream
from streetvision_core.types import Split

RENDERED: Final = "street world (rendered)"
"""Origin of every rendered frame, in tables and reports."""

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


def observe_queries(day: Day, queries: Iterable[StreamQuery], splits: list[Split] | None, bar: str) -> FeatureTable:
    """Runs every stage on rendered queries and keeps features, evidence and the renderer's truth."""
    kept = list(queries)
    frames = [decode_image(q.jpeg_bytes, q.group) for q in kept]
    features, evidence = day.observe(frames, bar)
    return FeatureTable.build(
        features,
        backbone=day.models.backbone.name,
        preprocessing=day.models.preprocessor.name,
        labels=[q.truth for q in kept],
        ids=[f"{frame.sha256[:16]}-{i}" for i, frame in enumerate(frames)],
        groups=[q.group for q in kept],
        origins=[RENDERED] * len(kept),
        eras=[q.era for q in kept],
        evidence=evidence,
        splits=splits,
    )


def heldout_table(day: Day) -> FeatureTable:
    """The fixed rendered set, a quarter CALIBRATE, the rest TEST, each scene its own group; made once, never mined."""
    n = day.settings.loop.heldout_frames
    path = day.workspace.data / "heldout" / f"{n}-{day.make}.npz"
    if path.exists():
        return FeatureTable.load(path)
    splits = [Split.TEST if i % 4 else Split.CALIBRATE for i in range(n)]
    table = observe_queries(day, heldout_stream(n), splits, "held-out scenes")
    table.save(path)
    return table


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
