"""Paints the road and what lies flat on it, in plain colours; the light comes later."""

from __future__ import annotations

from typing import Final

import numpy as np

from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import Canvas
from streetvision_core.data.scenes._mesh import Color
from streetvision_core.data.scenes._road import Road
from streetvision_core.data.scenes._world import Crack, Patch, World

_REACH: Final = np.concatenate([np.arange(1.5, 12, 1.5), np.geomspace(12, 260, 26)])
"""Metres before the camera at which the edges of strips are placed."""


def paint_ground(canvas: Canvas, camera: Camera, world: World, s: float) -> None:
    """Paints strips, patches and markings in plain colours; `s` is where the camera stands."""
    road = world.road
    reach = s + _REACH
    for strip in road.section.strips():
        near, far = road.place(reach, strip.d0), road.place(reach[::-1], strip.d1)
        canvas.polygon(camera.project_polygon(np.concatenate([near, far])), strip.color, smooth=True)
    for patch in world.patches:
        if patch.s1 > s and patch.s0 < s + 200:
            _patch(canvas, camera, road, patch)
    _cracks(canvas, camera, road, [c for c in world.cracks if c.points[-1][0] > s + 2 and c.points[0][0] < s + 32])
    for marking in road.section.markings():
        color = marking.color
        if marking.dash is None:
            _stripe(canvas, camera, road, reach, (marking.d, marking.width), color)
            continue
        paint, gap = marking.dash
        first = np.floor(s / (paint + gap)) * (paint + gap)
        for start in np.arange(first, s + 160, paint + gap):
            points = np.array([start, start + paint / 2, start + paint])
            _stripe(canvas, camera, road, points, (marking.d, marking.width), color)


def _stripe(canvas: Canvas, camera: Camera, road: Road, s: Array, line: tuple[float, float], color: Color) -> None:
    d, width = line
    ring = np.concatenate([road.place(s, d - width / 2), road.place(s[::-1], d + width / 2)])
    corners = camera.project_polygon(ring)
    if len(corners) and corners[:, 0].max() > 0 and corners[:, 0].min() < camera.width:
        canvas.polygon(corners, color, smooth=True)


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
            canvas.line(pixels[part], crack.color, min(crack.width * camera.focal / nearest, 6.0))


def _patch(canvas: Canvas, camera: Camera, road: Road, patch: Patch) -> None:
    s = np.array([patch.s0, patch.s0, patch.s1, patch.s1])
    d = np.array([patch.d0, patch.d1, patch.d1, patch.d0])
    canvas.polygon(camera.project_polygon(road.place(s, d)), patch.color, smooth=True)
