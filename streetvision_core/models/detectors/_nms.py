"""From raw scores and corners to the few boxes a detector answers with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.models.detectors.matching import Corners, iou_matrix
from streetvision_core.types import DEVICE_CLASSES, Box, DeviceClass

MIN_SCORE: Final = 0.05
MAX_BOXES: Final = 50
NMS_IOU: Final = 0.5
_CANDIDATES: Final = 400
"""Candidates that enter suppression; more are never needed to fill MAX_BOXES and cost quadratic time."""


def nms(
    corners: Corners, scores: npt.NDArray[np.float32], classes: npt.NDArray[np.int64], iou: float = NMS_IOU
) -> npt.NDArray[np.int64]:
    """Class-wise greedy non-maximum suppression.

    Args:
        corners: float32 [N, 4] in pixels.
        scores: float32 [N].
        classes: int64 [N]; boxes of different classes never suppress each other.
        iou: a box goes if it overlaps a kept, better box of its class by more than this.

    Returns:
        Indices of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")
    clash = iou_matrix(corners[order], corners[order]) > iou
    clash &= classes[order][:, None] == classes[order][None, :]
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~clash[i, i + 1 :]
    return order[alive].astype(np.int64)


def select_boxes(
    corners: Corners, scores: npt.NDArray[np.float32], width: int, height: int, min_score: float = MIN_SCORE
) -> tuple[Box, ...]:
    """Thresholds, suppresses and clips raw detections.

    Args:
        corners: float32 [N, 4] in pixels of the original frame.
        scores: float32 [N, len(DEVICE_CLASSES)] in [0, 1].
        width: the frame's width in pixels.
        height: the frame's height in pixels.
        min_score: least score of an answer.

    Returns:
        At most MAX_BOXES boxes, best first, inside the frame.
    """
    rows, classes = np.nonzero(scores >= min_score)
    values = scores[rows, classes]
    if len(values) > _CANDIDATES:
        best = np.argpartition(-values, _CANDIDATES)[:_CANDIDATES]
        rows, classes, values = rows[best], classes[best], values[best]
    limits = np.array([width, height, width, height], np.float32)
    clipped = np.clip(corners[rows], 0, limits).astype(np.float32)
    solid = (clipped[:, 2] - clipped[:, 0] > 0.5) & (clipped[:, 3] - clipped[:, 1] > 0.5)
    clipped, classes, values = clipped[solid], classes[solid], values[solid]
    kept = nms(clipped, values, classes)[:MAX_BOXES]
    return tuple(make_box(clipped[k], DEVICE_CLASSES[int(classes[k])], float(values[k])) for k in kept)


def make_box(corners: Iterable[float], label: DeviceClass, score: float = 1.0) -> Box:
    """A box from four numbers of any numeric type."""
    x0, y0, x1, y1 = (float(v) for v in corners)
    return Box(x0, y0, x1, y1, label, score)
