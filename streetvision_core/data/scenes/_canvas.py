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

SHIFT: Final = 4
_FAR: Final = 60_000.0
_LARGE: Final = 900.0
"""Canvas pixels above which a texture is laid on at half the canvas's fineness."""
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

    def cheaper(self, texels: Pixels, size: tuple[int, int]) -> tuple[Pixels, bool]:
        """Meets the light now if that is less work than after a warp to `size`; and whether it was."""
        now = texels.shape[0] * texels.shape[1] < size[0] * size[1]
        return (self.over(texels), True) if now else (texels, False)

    def over(self, texels: Pixels) -> Pixels:
        """Premultiplied RGBA as the camera meets it, alpha as it was; or RGB of an opaque thing."""
        (r, g, b), clear, veil = self.tint, self.clear, 1 - self.clear
        fog = [part * veil for part in self.haze]
        if texels.shape[2] == 3:
            matrix = [[r * clear, 0, 0, fog[0]], [0, g * clear, 0, fog[1]], [0, 0, b * clear, fog[2]]]
        else:
            # haze lies on a pixel as far as the thing fills it
            fog = [part / 255 for part in fog]
            matrix = [[r * clear, 0, 0, fog[0]], [0, g * clear, 0, fog[1]], [0, 0, b * clear, fog[2]], [0, 0, 0, 1]]
        lit = cv2.transform(texels.astype(np.float32), np.array(matrix, np.float32))
        return np.asarray(cv2.convertScaleAbs(lit), np.uint8)


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
    def opaque(self) -> tuple[Pixels, ...] | None:
        """The levels as RGB; None when something shines through."""
        if self._base[..., 3].min() < 255:
            return None
        return tuple(np.ascontiguousarray(level[..., :3]) for level in self.levels)

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
        cv2.fillPoly(self.rgb, [points], tuple(rgb), cv2.LINE_AA if smooth else cv2.LINE_8, SHIFT)
        if ident:
            cv2.fillPoly(self.ids, [points], (ident,), cv2.LINE_8, SHIFT)

    def convex(self, points: npt.NDArray[np.int32], rgb: Sequence[float], ident: int) -> None:
        """Fills a convex polygon of `fixed` corners: the fast way for the faces of solids."""
        cv2.fillConvexPoly(self.rgb, points, rgb, cv2.LINE_8, SHIFT)
        if ident:
            cv2.fillConvexPoly(self.ids, points, (ident,), cv2.LINE_8, SHIFT)

    def line(self, points: Array, rgb: Sequence[float], width: float) -> None:
        """Draws an open line through pixel points [N, 2]; the finer than a pixel the fainter, down to a half."""
        if len(points) < 2:
            return
        if width < 1:
            share = max(width, 0.5)
            rgb = [share * c + (1 - share) * below for c, below in zip(rgb, self._below(points), strict=True)]
        cv2.polylines(self.rgb, [fixed(points)], False, tuple(rgb), max(1, round(width)), cv2.LINE_AA, SHIFT)

    def _below(self, points: Array) -> list[float]:
        """What was painted in the middle of some points."""
        x, y = points[len(points) // 2].tolist()
        height, width = self.ids.shape
        below: list[float] = self.rgb[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)].tolist()
        return below

    def sprite(self, texture: Texture, box: Sequence[float], paint: Paint, ident: int, exact: bool = True) -> None:
        """Stands an upright texture into the pixel box (x0, y0, x1, y1), where need be to the `exact` pixel."""
        x0, y0, x1, y1 = box
        step = _step((x1 - x0) * (y1 - y0), exact)
        cut = texture.trimmed[texture.number_for((y1 - y0) / step, (x1 - x0) / step)]
        across, down = (x1 - x0) / cut.width, (y1 - y0) / cut.height
        x0, y0 = x0 + cut.x * across, y0 + cut.y * down
        rows, columns = cut.texels.shape[:2]
        # a texel shines half its size beyond its edge
        region = self._region(
            max(box[0], x0 - across / 2),
            max(box[1], y0 - down / 2),
            min(box[2], x0 + (columns + 0.5) * across),
            min(box[3], y0 + (rows + 0.5) * down),
            step,
        )
        if region is None:
            return
        left, top, width, height = region
        # texel and pixel centres lie half a unit inside their corners
        shift = ((across / 2 + x0 - left) / step - 0.5, (down / 2 + y0 - top) / step - 0.5)
        matrix = np.array([[across / step, 0.0, shift[0]], [0.0, down / step, shift[1]]])
        size = (width // step, height // step)
        texels, tinted = paint.cheaper(cut.texels, size)
        seen = np.asarray(cv2.warpAffine(texels, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
        self._blend(seen if tinted else paint.over(seen), region, ident)

    def quad(self, texture: Texture, corners: Array, paint: Paint, ident: int, exact: bool = True) -> None:
        """Pins a texture's corners (upper left, upper right, lower right, lower left) to pixels [4, 2]."""
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = corners.tolist()
        wide = max(math.hypot(bx - ax, by - ay), math.hypot(dx - cx, dy - cy))
        high = max(math.hypot(cx - bx, cy - by), math.hypot(ax - dx, ay - dy))
        step = _step(wide * high, exact)
        region = self._region(min(ax, bx, cx, dx), min(ay, by, cy, dy), max(ax, bx, cx, dx), max(ay, by, cy, dy), step)
        if region is None:
            return
        number = texture.number_for(high / step, wide / step)
        solid = None if exact else texture.opaque
        level = (solid or texture.levels)[number]
        w, h = level.shape[1] - 0.5, level.shape[0] - 0.5
        source = np.array([[-0.5, -0.5], [w, -0.5], [w, h], [-0.5, h]], np.float32)
        target = ((corners - region[:2]) / step - 0.5).astype(np.float32)
        matrix = cv2.getPerspectiveTransform(source, target)
        size = (region[2] // step, region[3] // step)
        texels, tinted = paint.cheaper(level, size)
        border = cv2.BORDER_CONSTANT if solid is None else cv2.BORDER_REPLICATE
        seen = np.asarray(
            cv2.warpPerspective(texels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8
        )
        if not tinted:
            seen = paint.over(seen)
        if solid is None:
            self._blend(seen, region, ident)
        else:
            self._fill(seen, region, corners, ident)

    def _region(self, x0: float, y0: float, x1: float, y1: float, step: int) -> tuple[int, int, int, int] | None:
        """The pixels (left, top, width, height) of the canvas that a box touches, in whole steps."""
        height, width = self.ids.shape
        left, top = max(0, math.floor(x0)) // step * step, max(0, math.floor(y0)) // step * step
        right, bottom = min(width, math.ceil(x1) + 1), min(height, math.ceil(y1) + 1)
        if right <= left or bottom <= top:
            return None
        return left, top, -(-(right - left) // step) * step, -(-(bottom - top) // step) * step

    def _blend(self, seen: Pixels, region: tuple[int, int, int, int], ident: int) -> None:
        """Lays premultiplied RGBA, whole or of half the size, over a region."""
        left, top, width, height = region
        if seen.shape[1] != width:
            seen = np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        rows, columns = slice(top, top + height), slice(left, left + width)
        target = self.rgb[rows, columns]
        rest = cv2.bitwise_not(cv2.extractChannel(seen, 3))
        kept = cv2.multiply(target, cv2.cvtColor(rest, cv2.COLOR_GRAY2RGB), scale=1 / 255)
        cv2.add(kept, cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB), dst=target)
        if ident:
            # NumPy's own masked copy takes longer than all the rest
            solid = cv2.inRange(rest, 0, 127)
            cv2.copyTo(np.full((height, width), ident, np.uint16), solid, self.ids[rows, columns])

    def _fill(self, seen: Pixels, region: tuple[int, int, int, int], corners: Array, ident: int) -> None:
        """Fills a polygon of pixel corners with the RGB of its region, whole or of half the size."""
        left, top, width, height = region
        if seen.shape[1] != width:
            seen = np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        mask = np.zeros((height, width), np.uint8)
        points = fixed(corners)
        cv2.fillConvexPoly(mask, points - ((left << SHIFT), (top << SHIFT)), (1,), cv2.LINE_8, SHIFT)
        cv2.copyTo(seen, mask, self.rgb[top : top + height, left : left + width])
        if ident:
            cv2.fillConvexPoly(self.ids, points, (ident,), cv2.LINE_8, SHIFT)


def _step(area: float, exact: bool) -> int:
    """Canvas pixels, each way, for which one texel of a picture will do.

    Only the edges that are counted, and small things, gain by the canvas being finer than the picture.
    """
    return 1 if exact or area <= _LARGE else 2


def fixed(points: Array) -> npt.NDArray[np.int32]:
    """Pixel points [N, 2] in OpenCV's whole numbers of a sixteenth of a pixel."""
    return (np.minimum(np.maximum(points, -_FAR), _FAR) * (1 << SHIFT)).astype(np.int32)
