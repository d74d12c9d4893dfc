"""The painter's canvas: RGB plus the number of the object each pixel shows.

Everything is painted back to front at twice the final size; the halving at the end is the antialiasing. Textures are
premultiplied RGBA pyramids, so a far sign is averaged and does not sparkle.
"""

from __future__ import annotations

import math
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
BONNET: Final = 65_535

_SHIFT: Final = 4
_FAR: Final = 60_000.0
_WORTH: Final = 0.75
"""A texture is cut to what shows of it when that is at most this share of the whole."""


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

    def over(self, texels: Pixels) -> Pixels:
        """Premultiplied RGBA as the camera meets it, alpha as it was."""
        (r, g, b), clear, veil = self.tint, self.clear, (1 - self.clear) / 255
        matrix = np.array(
            [
                [r * clear, 0, 0, self.haze[0] * veil],
                [0, g * clear, 0, self.haze[1] * veil],
                [0, 0, b * clear, self.haze[2] * veil],
                [0, 0, 0, 1],
            ],
            np.float32,
        )
        return np.asarray(cv2.convertScaleAbs(cv2.transform(texels.astype(np.float32), matrix)), np.uint8)


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

    @cached_property
    def trimmed(self) -> tuple[Cut, ...]:
        """The levels without their clear borders."""
        return tuple(_trim(level) for level in self.levels)

    def number_for(self, height: float, width: float) -> int:
        """The number of the smallest level still as large as the target, in pixels."""
        full = self.levels[0].shape
        ratio = min(full[0] / max(height, 1.0), full[1] / max(width, 1.0))
        return min(int(math.log2(max(ratio, 1.0)) + 0.25), len(self.levels) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The part of a picture that is not clear: its texels, and where they lie in the whole."""

    texels: Pixels
    x: int
    y: int
    width: int
    height: int


def _trim(level: Pixels) -> Cut:
    height, width = level.shape[:2]
    shown = level[..., 3] > 0
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not len(rows):
        return Cut(level, 0, 0, width, height)
    y, x = int(rows[0]), int(columns[0])
    if (rows[-1] + 1 - y) * (columns[-1] + 1 - x) > _WORTH * height * width:
        return Cut(level, 0, 0, width, height)
    return Cut(np.ascontiguousarray(level[y : rows[-1] + 1, x : columns[-1] + 1]), x, y, width, height)


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

    def convex(self, points: npt.NDArray[np.int32], rgb: Sequence[float], ident: int) -> None:
        """Fills a convex polygon of `fixed` corners: the fast way for the faces of solids."""
        cv2.fillConvexPoly(self.rgb, points, rgb, cv2.LINE_8, _SHIFT)
        if ident:
            cv2.fillConvexPoly(self.ids, points, (ident,), cv2.LINE_8, _SHIFT)

    def line(self, points: Array, rgb: Sequence[float], width: float = 1.0) -> None:
        """Draws an open line through pixel points [N, 2]."""
        if len(points) >= 2:
            thick = max(1, round(width))
            cv2.polylines(self.rgb, [fixed(points)], False, tuple(rgb), thick, cv2.LINE_AA, _SHIFT)

    def sprite(self, texture: Texture, box: Sequence[float], paint: Paint, ident: int) -> None:
        """Stands an upright texture into the pixel box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = box
        cut = texture.trimmed[texture.number_for(y1 - y0, x1 - x0)]
        across, down = (x1 - x0) / cut.width, (y1 - y0) / cut.height
        x0, y0 = x0 + cut.x * across, y0 + cut.y * down
        rows, columns = cut.texels.shape[:2]
        # a texel shines half its size beyond its edge
        region = self._region(
            max(box[0], x0 - across / 2),
            max(box[1], y0 - down / 2),
            min(box[2], x0 + (columns + 0.5) * across),
            min(box[3], y0 + (rows + 0.5) * down),
        )
        if region is None:
            return
        left, top = region[:2]
        # texel and pixel centres lie half a unit inside their corners
        shift = (across / 2 + x0 - left - 0.5, down / 2 + y0 - top - 0.5)
        matrix = np.array([[across, 0.0, shift[0]], [0.0, down, shift[1]]])
        self._lay(cut.texels, matrix, region, paint, ident)

    def quad(self, texture: Texture, corners: Array, paint: Paint, ident: int) -> None:
        """Pins a texture's corners (upper left, upper right, lower right, lower left) to pixels [4, 2]."""
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners.tolist()
        region = self._region(min(ax, bx, cx, dx), min(ay, by, cy, dy), max(ax, bx, cx, dx), max(ay, by, cy, dy))
        if region is None:
            return
        wide = max(math.hypot(bx - ax, by - ay), math.hypot(dx - cx, dy - cy))
        high = max(math.hypot(cx - bx, cy - by), math.hypot(ax - dx, ay - dy))
        level = texture.levels[texture.number_for(high, wide)]
        height, width = level.shape[:2]
        left, top = region[0] + 0.5, region[1] + 0.5
        w, h = width - 0.5, height - 0.5
        source = np.array([[-0.5, -0.5], [w, -0.5], [w, h], [-0.5, h]], np.float32)
        target = np.array(
            [[ax - left, ay - top], [bx - left, by - top], [cx - left, cy - top], [dx - left, dy - top]], np.float32
        )
        self._lay(level, np.asarray(cv2.getPerspectiveTransform(source, target)), region, paint, ident)

    def _region(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int] | None:
        """The pixels (left, top, width, height) of the canvas that a box touches."""
        height, width = self.ids.shape
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(width, math.ceil(x1) + 1), min(height, math.ceil(y1) + 1)
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None

    def _lay(self, level: Pixels, matrix: Array, region: tuple[int, int, int, int], paint: Paint, ident: int) -> None:
        """Warps premultiplied RGBA by a [2, 3] or [3, 3] matrix into a region and lays it over the canvas."""
        left, top, width, height = region
        # light is laid on before or after the warp, wherever there is less to lay it on
        before = level.shape[0] * level.shape[1] < width * height
        if before:
            level = paint.over(level)
        warp = cv2.warpAffine if len(matrix) == 2 else cv2.warpPerspective
        seen = np.asarray(warp(level, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8)
        if not before:
            seen = paint.over(seen)
        rows, columns = slice(top, top + height), slice(left, left + width)
        target = self.rgb[rows, columns]
        rest = cv2.bitwise_not(cv2.extractChannel(seen, 3))
        kept = cv2.multiply(target, cv2.cvtColor(rest, cv2.COLOR_GRAY2RGB), scale=1 / 255)
        cv2.add(kept, cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB), dst=target)
        if ident:
            # NumPy's own masked copy takes longer than all the rest
            solid = cv2.inRange(rest, 0, 127)
            cv2.copyTo(np.full((height, width), ident, np.uint16), solid, self.ids[rows, columns])


def fixed(points: Array) -> npt.NDArray[np.int32]:
    """Pixel points [N, 2] in OpenCV's whole numbers of a sixteenth of a pixel."""
    return (np.minimum(np.maximum(points, -_FAR), _FAR) * (1 << _SHIFT)).astype(np.int32)
