"""The painter's canvas: RGB plus the number of the object each pixel shows.

Everything is painted back to front at twice the final size; the halving at the end is the antialiasing. Textures are
premultiplied RGBA pyramids, so a far sign is averaged and does not sparkle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.data.scenes._camera import Array
from streetvision_core.types import Pixels

NOTHING: Final = 0
SCENERY: Final = 1
FIRST_DEVICE: Final = 2

_SHIFT: Final = 4
_FAR: Final = 60_000.0


@dataclass(frozen=True, slots=True)
class Paint:
    """How a surface meets the light: colour factors, and what share is still clear of haze.

    Attributes:
        tint: RGB factors.
        haze: RGB of the haze, 0..255.
        clear: share of the surface's own light that arrives, 0..1.
    """

    tint: tuple[float, float, float]
    haze: tuple[float, float, float]
    clear: float

    def color(self, rgb: Sequence[float]) -> tuple[float, float, float]:
        """A colour as the camera meets it, 0..255."""
        out = [
            min(255.0, c * t * self.clear + h * (1 - self.clear))
            for c, t, h in zip(rgb, self.tint, self.haze, strict=True)
        ]
        return (out[0], out[1], out[2])


class Texture:
    """A premultiplied RGBA pyramid."""

    def __init__(self, rgba: Pixels) -> None:
        """Args: rgba: straight RGBA, uint8 [H, W, 4]."""
        self._base = rgba

    @cached_property
    def levels(self) -> tuple[Pixels, ...]:
        """Level 0 is the full size, each next one half of it, down to about 4 pixels."""
        alpha = self._base[..., 3:].astype(np.uint16)
        level = np.dstack([(self._base[..., :3] * alpha // 255).astype(np.uint8), self._base[..., 3]])
        levels = [level]
        while min(level.shape[:2]) >= 8:
            size = (max(1, level.shape[1] // 2), max(1, level.shape[0] // 2))
            level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.uint8)
            levels.append(level)
        return tuple(levels)

    def level_for(self, height: float, width: float) -> Pixels:
        """The smallest level still as large as the target, in pixels."""
        full = self.levels[0].shape
        ratio = min(full[0] / max(height, 1.0), full[1] / max(width, 1.0))
        number = int(np.floor(np.log2(max(ratio, 1.0)) + 0.25))
        return self.levels[min(number, len(self.levels) - 1)]


class Canvas:
    """RGB pixels and object numbers, painted in place."""

    def __init__(self, rgb: Pixels) -> None:
        self.rgb = rgb
        self.ids: npt.NDArray[np.uint16] = np.zeros(rgb.shape[:2], np.uint16)

    def polygon(self, corners: Array, rgb: Sequence[float], ident: int = NOTHING, smooth: bool = False) -> None:
        """Fills a polygon of pixel corners [N, 2]."""
        if len(corners) < 3:
            return
        points = fixed(corners)
        cv2.fillPoly(self.rgb, [points], tuple(rgb), cv2.LINE_AA if smooth else cv2.LINE_8, _SHIFT)
        if ident:
            cv2.fillPoly(self.ids, [points], (ident,), cv2.LINE_8, _SHIFT)

    def convex(self, points: npt.NDArray[np.int32], rgb: Array, ident: int) -> None:
        """Fills a convex polygon of `fixed` corners: the fast way for the faces of solids."""
        cv2.fillConvexPoly(self.rgb, points, rgb.tolist(), cv2.LINE_8, _SHIFT)
        if ident:
            cv2.fillConvexPoly(self.ids, points, (ident,), cv2.LINE_8, _SHIFT)

    def line(self, points: Array, rgb: Sequence[float], width: float = 1.0) -> None:
        """Draws an open line through pixel points [N, 2]."""
        if len(points) >= 2:
            thick = max(1, round(width))
            cv2.polylines(self.rgb, [fixed(points)], False, tuple(rgb), thick, cv2.LINE_AA, _SHIFT)

    def sprite(self, texture: Texture, box: tuple[float, float, float, float], paint: Paint, ident: int) -> None:
        """Stands an upright texture into the pixel box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = box
        level = texture.level_for(y1 - y0, x1 - x0)
        height, width = level.shape[:2]
        matrix = np.array([[(x1 - x0) / width, 0.0, x0], [0.0, (y1 - y0) / height, y0], [0.0, 0.0, 1.0]])
        self._warp(level, matrix, (x0, y0, x1, y1), paint, ident)

    def quad(self, texture: Texture, corners: Array, paint: Paint, ident: int) -> None:
        """Pins a texture's corners (upper left, upper right, lower right, lower left) to pixels [4, 2]."""
        sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
        level = texture.level_for(max(sides[1], sides[3]), max(sides[0], sides[2]))
        height, width = level.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        matrix = np.asarray(cv2.getPerspectiveTransform(source, corners.astype(np.float32)), np.float64)
        low, high = corners.min(axis=0), corners.max(axis=0)
        self._warp(level, matrix, (low[0], low[1], high[0], high[1]), paint, ident)

    def _warp(
        self, level: Pixels, matrix: Array, box: tuple[float, float, float, float], paint: Paint, ident: int
    ) -> None:
        height, width = self.ids.shape
        x0, y0 = max(0, int(np.floor(box[0]))), max(0, int(np.floor(box[1])))
        x1, y1 = min(width, int(np.ceil(box[2])) + 1), min(height, int(np.ceil(box[3])) + 1)
        if x1 <= x0 or y1 <= y0:
            return
        # texel and pixel centres lie half a unit inside their corners
        shift = np.array([[1.0, 0.0, -x0 - 0.5], [0.0, 1.0, -y0 - 0.5], [0.0, 0.0, 1.0]])
        half = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
        placed = shift @ matrix @ half
        size = (x1 - x0, y1 - y0)
        if abs(placed[2, 0]) + abs(placed[2, 1]) < 1e-9:
            seen = cv2.warpAffine(level, placed[:2] / placed[2, 2], size, flags=cv2.INTER_LINEAR)
        else:
            seen = cv2.warpPerspective(level, placed, size, flags=cv2.INTER_LINEAR)
        self.blend(np.asarray(seen, np.uint8), x0, y0, paint, ident)

    def blend(self, seen: Pixels, x0: int, y0: int, paint: Paint, ident: int) -> None:
        """Lays premultiplied RGBA over the canvas at (x0, y0)."""
        height, width = seen.shape[:2]
        matrix = np.zeros((3, 4))
        for channel in range(3):
            matrix[channel, channel] = paint.tint[channel] * paint.clear
            matrix[channel, 3] = paint.haze[channel] * (1 - paint.clear) / 255
        target = self.rgb[y0 : y0 + height, x0 : x0 + width]
        alpha = seen[..., 3]
        lit = cv2.transform(seen, matrix)
        rest = cv2.merge([255 - alpha] * 3)
        cv2.add(cv2.multiply(target, rest, scale=1 / 255), lit, dst=lit)
        target[...] = lit
        if ident:
            self.ids[y0 : y0 + height, x0 : x0 + width][alpha > 127] = ident


def fixed(points: Array) -> npt.NDArray[np.int32]:
    """Pixel points [N, 2] in OpenCV's whole numbers of a sixteenth of a pixel."""
    return (np.minimum(np.maximum(points, -_FAR), _FAR) * (1 << _SHIFT)).astype(np.int32)
