"""How many labels the loop's choice saves: the streams it is measured on, and the table of ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image
from streetvision_core.mining.efficiency import LabelCurves, LabelPlan, compare_strategies
from streetvision_core.mining.stream import day_stream
from streetvision_core.settings import MiningSettings

BLOCK_FRAMES: Final = 60
"""The stream is taken from as many simulated days, so that places are many and a killed run goes on where it was."""
_FIRST_DAY: Final = 3000
"""Days no loop will reach, so that nothing measured here was ever mined."""


def photo_labels() -> FeatureTable:
    """The starter pack's labelled photos, one row each: a label is paid per photo, not per crop of it."""
    table = load_starter().table
    return table.select(np.array([era == "native" for era in table.eras]) & (table.labels >= 0))


def record_stream_labels(observer: Observer, seed: int, frames: int, folder: Path) -> FeatureTable:
    """Rendered queries with their truth and stage-1 features; each block is made once and kept, so a kill loses little.

    Args:
        observer: whose features.
        seed: of the stream.
        frames: how many, from the first on.
        folder: where the blocks are kept.

    Raises:
        DataError: fewer than one.
    """
    if frames < 1:
        raise DataError(f"{frames} rendered frames", "1 or more", "set FRAMES to a positive number")
    blocks = [_block(observer, seed, number, folder) for number in range(-(-frames // BLOCK_FRAMES))]
    return FeatureTable.concat(blocks).select(np.arange(frames))


def label_curves(
    settings: MiningSettings, tables: Mapping[str, FeatureTable], plans: Mapping[str, LabelPlan]
) -> dict[str, LabelCurves]:
    """MCC after each number of labels, by stream and strategy.

    Args:
        settings: how the miner chooses.
        tables: labelled rows by name; the miner never sees a label it has not paid for.
        plans: by the same names.
    """
    return {name: compare_strategies(table, settings, plans[name]) for name, table in tables.items()}


def label_ratios(curves: Mapping[str, LabelCurves], targets: Sequence[float]) -> list[dict[str, Any]]:
    """Labels that random choice needs for each one of a strategy, per stream and MCC that either reaches."""
    told = []
    for stream, curve in curves.items():
        for strategy in (name for name in curve.mcc if name != "random"):
            for target in targets:
                ratio = curve.ratio(target, strategy)
                # What the random start reaches already says nothing about choosing.
                if any(n is not None and n > curve.labels[0] for n in (ratio["labels"], ratio["labels_random"])):
                    told.append({"stream": stream, "strategy": strategy, **ratio})
    return told


def _block(observer: Observer, seed: int, number: int, folder: Path) -> FeatureTable:
    path = folder / f"stream-{number}-{observer.make}.npz"
    if path.exists():
        return FeatureTable.load(path)
    queries = list(islice(day_stream(_FIRST_DAY + number, BLOCK_FRAMES, seed), BLOCK_FRAMES))
    models = observer.models
    images = (decode_image(query.jpeg_bytes, query.group) for query in queries)
    caption = f"rendered stream, part {number + 1}"
    store = FeatureStore(observer.store)
    table = FeatureTable.build(
        store.features(images, models.backbone, models.preprocessor, total=len(queries), progress=caption),
        backbone=models.backbone.name,
        preprocessing=models.preprocessor.name,
        labels=[query.truth for query in queries],
        groups=[query.group for query in queries],
        origins=[query.origin for query in queries],
        eras=[query.era for query in queries],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    table.save(path)
    return table
