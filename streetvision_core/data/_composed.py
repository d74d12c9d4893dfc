"""Road work rendered into photos that have none, so that a camera alone never gives the label away.

The real positives come from a handful of cameras, the real negatives from others; a head trained on them alone learns
the cameras. Each photo without road work therefore gets twins: some with rendered devices, one with distractors only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.progress import track

from streetvision_core.data._attribution import SOURCES
from streetvision_core.data._variants import Variant
from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.scenes import compose
from streetvision_core.data.sources import LabelledImage
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.challenge import sample
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.images.preprocess import resize
from streetvision_core.models.factory import ModelSet
from streetvision_core.types import Era, Frame, Pixels

TWINS: Final = (True, True, False)
"""Per photo: two with devices, one with distractors only."""
MOST_DEVICES: Final = 12
WEIGHT: Final = 0.1
"""Of a twin against a photo, in training."""
MARK: Final = " (composed)"
"""Ends the origin of composed rows, which never count as photos of that origin."""
_LONG_SIDE: Final = 960
_JPEG_QUALITY: Final = 90
_OLD_ERAS: Final[tuple[Era, ...]] = ("crop-224", "letterbox-224")


@dataclass(frozen=True, slots=True)
class Twin:
    """One composed row to be."""

    label: int
    variant: Variant


def twins(photo: Frame, name: str, horizon: float | None = None) -> Iterator[Twin]:
    """Composes a photo's twins, each as it is and as one of the older eras; the same every time.

    Args:
        photo: a street photo without road work.
        name: its name, which seeds the draws and starts the rows' ids.
        horizon: height of the camera's horizon as a share of the picture; None for the middle.
    """
    background = _shrunk(photo.pixels)
    for index, with_devices in enumerate(TWINS):
        label_name = f"{name}+composed-{index}"
        seed = int.from_bytes(hashlib.sha256(label_name.encode()).digest()[:4], "little")
        rng = np.random.default_rng(seed)
        devices = int(rng.integers(1, MOST_DEVICES + 1)) if with_devices else 0
        scene = compose(background, seed, n_devices=devices, horizon=horizon)
        native = _through_jpeg(scene.frame.pixels, _JPEG_QUALITY, label_name)
        yield Twin(scene.label, Variant(f"{label_name}#native", "native", 0, native))
        era = _OLD_ERAS[int(rng.integers(len(_OLD_ERAS)))]
        pixels, level = sample(native.pixels, era, rng)
        yield Twin(scene.label, Variant(f"{label_name}#{era}", era, level, _through_jpeg(pixels, 75, label_name)))


def build_composed(
    images: Sequence[LabelledImage], root: Path, table: FeatureTable, models: ModelSet, store: FeatureStore
) -> FeatureTable:
    """Features of the twins of every photo without road work.

    Args:
        images: photos; those with road work are passed over.
        root: rows are named by paths from here.
        table: the photos' own rows, whose groups and splits the twins share.
        models: backbone and preprocessing.
        store: keeps features between runs.

    Returns:
        a table of small weights, whose origins end in `MARK`, without evidence.
    """
    rows_of = {name: i for i, name in enumerate(table.ids)}
    made: list[tuple[int, LabelledImage, Twin]] = []
    features = []
    for photo in track([image for image in images if image.label == 0], description="composed twins"):
        name = photo.path.relative_to(root).as_posix()
        some = list(twins(photo.read(), name, _horizon(photo.origin)))
        features.append(store.features([twin.variant.frame for twin in some], models.backbone, models.preprocessor))
        made += [(rows_of[f"{name}#native"], photo, _without_pixels(twin)) for twin in some]
    return FeatureTable.build(
        np.concatenate(features) if features else table.features[:0],
        backbone=table.backbone,
        preprocessing=table.preprocessing,
        ids=[twin.variant.name for _, _, twin in made],
        labels=[twin.label for _, _, twin in made],
        groups=[table.groups[row] for row, _, _ in made],
        origins=[photo.origin + MARK for _, photo, _ in made],
        eras=[twin.variant.era for _, _, twin in made],
        levels=[twin.variant.level for _, _, twin in made],
        splits=None if table.splits is None else [table.splits[row] for row, _, _ in made],
        weights=np.array([WEIGHT * twin.variant.weight for _, _, twin in made], np.float32),
    )


def _horizon(origin: str) -> float | None:
    return SOURCES[origin].horizon if origin in SOURCES else None


def _without_pixels(twin: Twin) -> Twin:
    empty = Frame(np.zeros((0, 0, 3), np.uint8), twin.variant.frame.source, twin.variant.frame.sha256)
    return replace(twin, variant=replace(twin.variant, frame=empty))


def _shrunk(pixels: Pixels) -> Pixels:
    scale = min(1.0, _LONG_SIDE / max(pixels.shape[:2]))
    return resize(pixels, round(pixels.shape[0] * scale), round(pixels.shape[1] * scale))


def _through_jpeg(pixels: Pixels, quality: int, source: str) -> Frame:
    return decode_image(encode_jpeg(pixels, quality), source)
