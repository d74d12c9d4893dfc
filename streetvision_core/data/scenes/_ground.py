"""Paints the road and what lies flat on it, in plain colours; the light comes later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import Canvas
from streetvision_core.data.scenes._mesh import Color
from streetvision_core.data.scenes._road import Marking, Road
from streetvision_core.data.scenes._world import Crack, World

_REACH: Final = np.concatenate([np.arange(1.5, 12, 1.5), np.geomspace(12, 260, 26)])
"""Metres before the camera at which the edges of strips are placed."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """A polygon on the ground: road coordinates [N] and [N], RGB."""

    s: Array
    d: Array
    color: Color


def paint_ground(canvas: Canvas, camera: Camera, world: World, s: float) -> None:
    """Paints strips, patches and markings in plain colours; `s` is where the camera stands."""
    road = world.road
    reach = s + _REACH
    below = [_band(reach, strip.d0, strip.d1, strip.color) for strip in road.section.strips()]
    near = [patch for patch in world.patches if patch.s1 > s and patch.s0 < s + 200]
    below += [_band(np.array([patch.s0, patch.s1]), patch.d0, patch.d1, patch.color) for patch in near]
    above = [band for marking in road.section.markings() for band in _stripes(marking, reach, s)]
    _fill(canvas, camera, road, below)
    _cracks(canvas, camera, road, [c for c in world.cracks if c.points[-1][0] > s + 2 and c.points[0][0] < s + 32])
    _fill(canvas, camera, road, above)


def _band(s: Array, d0: float, d1: float, color: Color) -> _Flat:
    return _Flat(np.concatenate([s, s[::-1]]), np.repeat([d0, d1], len(s)), color)


def _stripes(marking: Marking, reach: Array, s: float) -> list[_Flat]:
    d0, d1 = marking.d - marking.width / 2, marking.d + marking.width / 2
    if marking.dash is None:
        return [_band(reach, d0, d1, marking.color)]
    paint, gap = marking.dash
    first = np.floor(s / (paint + gap)) * (paint + gap)
    dash = np.array([0.0, paint / 2, paint])
    return [_band(start + dash, d0, d1, marking.color) for start in np.arange(first, s + 160, paint + gap)]


def _fill(canvas: Canvas, camera: Camera, road: Road, flats: list[_Flat]) -> None:
    if not flats:
        return
    points = road.place(np.concatenate([flat.s for flat in flats]), np.concatenate([flat.d for flat in flats]))
    rings = camera.project_polygons(points, [len(flat.s) for flat in flats])
    for flat, corners in zip(flats, rings, strict=True):
        canvas.polygon(corners, flat.color, smooth=True)


def _cracks(canvas: Canvas, camera: Camera, road: Road, cracks: list[Crack]) -> None:
    """All cracks are projected at once: there are many, and each is cheap to draw."""
    if not cracks:
        return
    path = np.array([point for crack in cracks for point in crack.points])
    seen = camera.to_camera(road.place(path[:, 0], path[:, 1]))
    pixels = camera.to_pixels(np.maximum(seen, (-np.inf, -np.inf, 0.1)))
    first = 0
    for crack in cracks:
        part = slice(first, first + len(crack.points))
        first = part.stop
        nearest = float(seen[part, 2].min())
        if nearest > 1.0:
            canvas.line(pixels[part], crack.color, min(crack.width * camera.focal / nearest, 3.0))
