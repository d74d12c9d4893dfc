"""Labelled images the detectors learn from, and what each image leaves unknown.

A cone photo tells where its cones are; whether a worker stands in it, nobody wrote down. So every sample carries
`known`: the classes whose absence outside the boxes is a fact. Elsewhere the loss stays silent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.types import DEVICE_CLASSES, Box, Pixels

IGNORE: Final = -1
"""The label of a region that teaches nothing: a bollard, an object too small or too much cut."""

N_CLASSES: Final = len(DEVICE_CLASSES)
CLASS_INDEX: Final = {name: i for i, name in enumerate(DEVICE_CLASSES)}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image with boxes.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        corners: float32 [N, 4], pixels.
        labels: int64 [N], index into DEVICE_CLASSES or IGNORE.
        known: bool [C], the classes whose absence elsewhere in the image is certain.
        group: frames that are not independent share it.
    """

    pixels: Pixels
    corners: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]
    group: str


def make_sample(pixels: Pixels, boxes: Sequence[Box], group: str) -> Sample:
    """A sample in which every device is boxed: a rendered or composed frame, or a photo without any."""
    corners = np.array([(b.x0, b.y0, b.x1, b.y1) for b in boxes], np.float32).reshape(-1, 4)
    labels = np.array([CLASS_INDEX[b.label] for b in boxes], np.int64)
    return Sample(pixels, corners, labels, np.ones(N_CLASSES, bool), group)


def is_seen_group(group: str) -> bool:
    """Whether the detectors may learn from this group: a fixed draw of 60 % by its name.

    Example:
        >>> [is_seen_group(f"gtsdb-{i}") for i in range(5)]
        [True, False, False, False, False]
    """
    return int(hashlib.sha256(f"detectors/{group}".encode()).hexdigest()[:8], 16) % 100 < 60
