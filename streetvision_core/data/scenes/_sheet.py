"""Contact sheets: many scenes at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streetvision_core.data.scenes._frame import SceneFrame
from streetvision_core.data.scenes._render import render
from streetvision_core.types import Pixels

_COLORS = {
    "cone": (255, 140, 0),
    "drum": (255, 60, 60),
    "barrier": (250, 250, 60),
    "sign": (60, 220, 255),
    "worker": (120, 255, 80),
    "vehicle": (255, 90, 255),
}


def draw_boxes(scene: SceneFrame) -> Pixels:
    """The frame with its true boxes."""
    picture = scene.frame.pixels.copy()
    for box in scene.boxes:
        corners = [round(v) for v in (box.x0, box.y0, box.x1, box.y1)]
        cv2.rectangle(picture, tuple(corners[:2]), tuple(corners[2:]), _COLORS[box.label], 1)
    return picture


def contact_sheet(seeds: Sequence[int], columns: int, *, boxes: bool = False) -> Pixels:
    """Renders one frame per seed into a grid, row by row.

    Args:
        seeds: one per picture.
        columns: pictures per row.
        boxes: whether the true boxes are drawn.
    """
    scenes = [render(seed) for seed in seeds]
    return tile([draw_boxes(s) if boxes else s.frame.pixels for s in scenes], columns)


def tile(pictures: Sequence[Pixels], columns: int) -> Pixels:
    """Puts equally large pictures into a grid; the last row is filled with black."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        y, x = number // columns * height, number % columns * width
        sheet[y : y + height, x : x + width] = picture
    return sheet
