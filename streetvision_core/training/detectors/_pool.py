"""A pool of made images on disk: drawn once, cropped many times by both detectors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from streetvision_core.errors import DataError
from streetvision_core.storage import atomic_write_text
from streetvision_core.training.detectors._mixture import Source
from streetvision_core.training.detectors._photos import read_rgb
from streetvision_core.training.detectors._samples import N_CLASSES, Sample

_QUALITY = 94


def fill_pool(folder: Path, source: Source, seeds: Iterable[int]) -> int:
    """Writes the images of the seeds that are not there yet.

    Args:
        folder: of the pool; each image has its boxes beside it, written last.
        source: makes an image with boxes from a seed.
        seeds: which images.

    Returns:
        how many images were made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for seed in seeds:
        note = folder / f"{seed:06d}.json"
        if note.exists():
            continue
        sample = source(seed)
        cv2.imwrite(str(note.with_suffix(".jpg")), sample.pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        held = {"corners": sample.corners.tolist(), "labels": sample.labels.tolist(), "group": sample.group}
        atomic_write_text(note, json.dumps(held))
        made += 1
    return made


def read_pool(folder: Path) -> Source:
    """The pool as a source; every device in a made image is boxed.

    Raises:
        DataError: the pool is empty.
    """
    notes = sorted(folder.glob("*.json"))
    if not notes:
        raise DataError(f"no images in {folder.name}", "a pool filled by fill_pool", "fill the pool first")

    def one(seed: int) -> Sample:
        note = notes[seed % len(notes)]
        held = json.loads(note.read_text())
        corners = np.array(held["corners"], np.float32).reshape(-1, 4)
        labels = np.array(held["labels"], np.int64)
        return Sample(read_rgb(note.with_suffix(".jpg")), corners, labels, np.ones(N_CLASSES, bool), held["group"])

    return one
