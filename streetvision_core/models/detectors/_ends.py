"""What stands before and behind a detector's network: pixels in its form, boxes from its numbers. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ManifestError
from streetvision_core.models.detectors._nms import MIN_SCORE
from streetvision_core.models.detectors._yolo import decode_yolo, letterbox
from streetvision_core.types import Frame

Array = npt.NDArray[np.float32]
Found = tuple[Array, Array, npt.NDArray[np.int64]]
"""Corners [N, 4] in the frame's pixels, scores [N], class indices [N]."""


class Ends(Protocol):
    """Both ends of one network that takes one frame at a time."""

    def planes(self, frame: Frame) -> Array:
        """The network's input, float32 [1, 3, H, W]."""

    def found(self, outputs: Sequence[npt.NDArray[Any]], frame: Frame) -> Found:
        """Candidates with score >= 0.05 from the network's outputs for one frame."""


@dataclass(frozen=True, slots=True)
class YoloEnds:
    """A grey letterbox of `side` pixels before; centre, size and scores behind."""

    side: int

    def planes(self, frame: Frame) -> Array:
        """See `Ends`."""
        image, *_ = letterbox(frame.pixels, self.side, self.side)
        return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)

    def found(self, outputs: Sequence[npt.NDArray[Any]], frame: Frame) -> Found:
        """See `Ends`."""
        _, scale, offset = letterbox(frame.pixels, self.side, self.side)
        corners, scores, classes = decode(outputs[0][0])
        return (corners - np.array(offset * 2, np.float32)) / np.float32(scale), scores, classes


@dataclass(frozen=True, slots=True)
class DetrEnds:
    """The whole frame resized, without letterbox or antialias; normalised boxes and a sigmoid per class behind.

    Attributes:
        side: of the network's square input, in pixels.
        mean: of each channel, for pixels in [0, 1].
        std: of each channel.
        select: best pairs of query and class that are looked at.
    """

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    select: int

    def planes(self, frame: Frame) -> Array:
        """See `Ends`."""
        size = (self.side, self.side)
        image = cv2.resize(frame.pixels.astype(np.float32) / 255, size, interpolation=cv2.INTER_LINEAR)
        made = (image - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(made.transpose(2, 0, 1)[None], np.float32)

    def found(self, outputs: Sequence[npt.NDArray[Any]], frame: Frame) -> Found:
        """See `Ends`; outputs are centre boxes [1, Q, 4] in [0, 1] and logits [1, Q, C]."""
        boxes, logits = outputs[0][0], outputs[1][0]
        scores = (1 / (1 + np.exp(-logits.astype(np.float64)))).ravel()
        best = np.argsort(-scores, kind="stable")[: self.select]
        best = best[scores[best] > MIN_SCORE]
        rows, classes = np.divmod(best, logits.shape[1])
        middle, half = boxes[rows, :2], boxes[rows, 2:] / 2
        size = np.array([frame.width, frame.height] * 2, np.float32)
        corners = np.concatenate([middle - half, middle + half], axis=1) * size
        return corners.astype(np.float32), scores[best].astype(np.float32), classes.astype(np.int64)


def ends_of(config: Mapping[str, Any]) -> Ends:
    """The ends that an exported detector's card describes.

    Raises:
        ManifestError: it describes none.
    """
    try:
        if config["ends"] == "yolo":
            return YoloEnds(int(config["side"]))
        if config["ends"] == "detr":
            mean, std = (tuple(float(v) for v in config[key]) for key in ("mean", "std"))
            return DetrEnds(int(config["side"]), mean, std, int(config["select"]))
        raise ValueError(f"ends {config['ends']!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            got=f"a card whose config says not what stands around the network: {type(error).__name__} {error}",
            allowed="ends = yolo with side, or detr with side, mean, std and select",
            action="export the detector again: compression.detectors.export_detector",
        ) from error


def decode(raw: Array) -> Found:
    """One image's output of a YOLO as corners in the input's pixels, scores and class indices.

    Args:
        raw: float32 [4 + C, A] (centre, size, a score per class), or [N, 6] (corners, score, class) of networks that
            suppress by themselves, such as YOLO26.
    """
    if raw.shape[1] == 6 and raw.shape[0] > 6:
        kept = raw[raw[:, 4] >= MIN_SCORE]
        return kept[:, :4], kept[:, 4], kept[:, 5].astype(np.int64)
    corners, table = decode_yolo(raw, MIN_SCORE)
    rows, classes = np.nonzero(table >= MIN_SCORE)
    return corners[rows], table[rows, classes], classes.astype(np.int64)
