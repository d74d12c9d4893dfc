"""Intersection over union, and pairing the boxes of two detectors that mean the same object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streetvision_core.types import Box

Corners = npt.NDArray[np.float32]
"""float32 [N, 4]: x0, y0, x1, y1 in pixels."""


def corners_of(boxes: Sequence[Box]) -> Corners:
    """The corners of boxes as one array, float32 [N, 4]."""
    return np.array([(b.x0, b.y0, b.x1, b.y1) for b in boxes], np.float32).reshape(-1, 4)


def iou_matrix(a: Corners, b: Corners) -> npt.NDArray[np.float32]:
    """Intersection over union of every box of `a` with every box of `b`, float32 [A, B] in [0, 1].

    Example:
        >>> iou_matrix(np.float32([[0, 0, 2, 2]]), np.float32([[0, 0, 2, 1], [5, 5, 6, 6]])).tolist()
        [[0.5, 0.0]]
    """
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a = np.prod(np.clip(a[:, 2:] - a[:, :2], 0, None), axis=1)
    area_b = np.prod(np.clip(b[:, 2:] - b[:, :2], 0, None), axis=1)
    union = area_a[:, None] + area_b[None, :] - overlap
    return np.where(union > 0, overlap / np.maximum(union, 1e-9), 0).astype(np.float32)


def match_boxes(
    a: Sequence[Box], b: Sequence[Box], iou: float = 0.3, *, same_class: bool = True
) -> list[tuple[int, int]]:
    """Pairs boxes of two sets one to one, highest overlap first.

    Args:
        a: boxes of one detector (or labelled boxes).
        b: boxes of the other.
        iou: least intersection over union of a pair, in (0, 1].
        same_class: whether only boxes of one class may pair.

    Returns:
        Pairs (index in a, index in b), each index at most once, in the order they were matched.

    Example:
        >>> cone = Box(0, 0, 10, 20, "cone", 0.9)
        >>> match_boxes([cone], [Box(1, 0, 10, 20, "cone"), Box(0, 0, 10, 20, "drum")])
        [(0, 0)]
    """
    overlaps = iou_matrix(corners_of(a), corners_of(b))
    if same_class and overlaps.size:
        overlaps = overlaps * (np.array([x.label for x in a])[:, None] == np.array([x.label for x in b])[None, :])
    rows, cols = np.nonzero(overlaps >= iou)
    order = np.argsort(-overlaps[rows, cols], kind="stable")
    used_a: set[int] = set()
    used_b: set[int] = set()
    pairs: list[tuple[int, int]] = []
    for i, j in zip(rows[order].tolist(), cols[order].tolist(), strict=True):
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            pairs.append((i, j))
    return pairs
