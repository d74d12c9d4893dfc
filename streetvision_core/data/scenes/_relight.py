"""Lights the painted ground: asphalt grain, shadows, headlights and street lamps, haze."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Plane, noise_tile
from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import SHIFT, Canvas, fixed
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import Billboard
from streetvision_core.data.scenes._world import Item
from streetvision_core.types import Pixels

_LONGEST: Final = 14.0
"""Metres: longest shadow drawn."""
_SCALE: Final = 110.0
"""Whole numbers that stand for a gain of 1."""
_FAINT: Final = 0.01
"""Share of the grain that nobody sees."""
_ANGLES: Final = np.arange(12) * np.pi / 6
_ROUND: Final = np.stack([0.8 * np.cos(_ANGLES), 0.5 * np.sin(_ANGLES)], axis=1)
"""The foot of a round thing of half-width 1."""


def light_ground(canvas: Canvas, camera: Camera, light: Light, shadow: Plane, wear: float) -> None:
    """Multiplies the ground with asphalt grain, shadows and lamplight, then lays haze over it.

    Args:
        canvas: painted ground.
        camera: the camera of this canvas.
        light: the light.
        shadow: float32 of the canvas's size, 1 lit .. 0 dark.
        wear: strength of the grain.
    """
    rows, columns = shadow.shape
    first = _top_of_ground(camera, rows)
    down, x, z = _ground_points(camera, columns, rows, first)
    # haze and the loss of grain hardly change along a row
    meters = 1.04 * camera.position[1] / np.maximum(-down[:, columns // 2].astype(np.float64), 1e-3)
    clear = np.exp(-light.density * meters).astype(np.float32)[:, None]
    gain = _grain(x, z, meters, camera)
    gain *= np.float32(wear)
    gain += 1
    gain *= shadow[first:]
    gain *= clear
    factor = cv2.merge([cv2.convertScaleAbs(*_scaled(gain, lit)) for lit in _lit(light, camera, x, z)])
    veil = np.repeat(np.clip((1 - clear) * light.haze, 0, 255).astype(np.uint8)[:, None], columns, axis=1)
    above = (down > -1e-3).astype(np.uint8)
    if above.any():
        cv2.copyTo(np.full_like(veil, round(_SCALE)), above, factor)
        cv2.copyTo(np.zeros_like(veil), above, veil)
    target = canvas.rgb[first:]
    cv2.add(cv2.multiply(target, factor, scale=1 / _SCALE), veil, dst=target)


def _top_of_ground(camera: Camera, rows: int) -> int:
    """The first of so many rows over the picture below which ground can be seen, with room for a tilted horizon."""
    return min(rows - 1, max(0, int(np.floor((camera.horizon / camera.height - 0.055) * rows))))


def _ground_points(camera: Camera, columns: int, rows: int, first: int) -> tuple[Plane, Plane, Plane]:
    """How far the rays of a coarser grid of pixels go up, and x and z where they meet the ground, from the camera."""
    across, along = camera.ray_parts(columns, rows, first)
    down = along[:, 1:2] + across[:, 1]
    share = np.float32(camera.position[1]) / np.maximum(-down, np.float32(1e-3))
    x, z = ((along[:, axis : axis + 1] + across[:, axis]) * share for axis in (0, 2))
    return np.asarray(down), np.asarray(x), np.asarray(z)


def _scaled(gain: Plane, lit: Plane | np.float32) -> tuple[Plane, None, float]:
    """The arguments of `convertScaleAbs` for gain times light in 1 / `_SCALE`."""
    return (gain, None, _SCALE * float(lit)) if isinstance(lit, np.float32) else (gain * lit, None, _SCALE)


def _grain(x: Plane, z: Plane, meters: Array, camera: Camera) -> Plane:
    tile = _wrapped_tile()
    total = np.zeros_like(x)
    for cells, weight in ((6.0, 0.55), (46.0, 0.8)):
        share = (weight * np.exp(meters * (-cells / 900))).astype(np.float32)
        start = int(np.argmax(share > _FAINT))
        u, v = (_around(p[start:], at * cells, cells) for p, at in ((x, camera.position[0]), (z, camera.position[2])))
        sample = np.asarray(cv2.remap(tile, u, v, cv2.INTER_LINEAR), np.float32)
        sample *= share[start:, None]
        total[start:] += sample
    return total


@cache
def _wrapped_tile() -> Plane:
    """The noise tile with its first row and column once more at its end."""
    return np.pad(noise_tile(), ((0, 1), (0, 1)), mode="wrap")


def _around(meters: Plane, start: float, cells: float) -> Plane:
    """Texels of the tile, which repeats: remap itself wraps slowly."""
    texels = meters * np.float32(cells / 512)
    texels += np.float32(start / 512 % 1)
    texels -= np.floor(texels)
    texels *= np.float32(512)
    return np.asarray(texels)


def _lit(light: Light, camera: Camera, x: Plane, z: Plane) -> list[Plane | np.float32]:
    """R, G and B light on ground points given from below the camera, world axes; by day one number each."""
    if not light.night:
        return list(light.shade(np.array([[0.0, 1.0, 0.0]]), camera.position, camera.position)[0].astype(np.float32))
    forward = camera.rotation[2].astype(np.float32)
    ahead, aside = x * forward[0] + z * forward[2], x * forward[2] - z * forward[0]
    beam = np.exp(-((aside / (1.6 + 0.2 * np.maximum(ahead, 0))) ** 2)) / (1 + (x * x + z * z) / 225)
    pools = np.zeros_like(x)
    for lamp in light.lamps - camera.position if len(light.lamps) else ():
        if np.hypot(lamp[0], lamp[2]) < 90:
            away = 1 + ((x - np.float32(lamp[0])) ** 2 + (z - np.float32(lamp[2])) ** 2) / 30
            pools += 0.5 / (away * np.sqrt(away))
    head, street = (0.95, 0.9, 0.8), (1.0, 0.76, 0.46)
    return [np.asarray(light.ambient[c] + beam * head[c] + pools * street[c], np.float32) for c in range(3)]


def cast_shadows(camera: Camera, light: Light, standing: list[tuple[Item, Array, float]]) -> Plane:
    """The half-size shadow map of (item, position, heading) triples: sun shadows, and dark feet under everything."""
    rows, columns = camera.height // 2, camera.width // 2
    sunlit = float(light.sun.mean()) > 0.25
    first = _top_of_ground(camera, rows)
    mask = np.zeros((rows, columns), np.uint8)
    feet = np.zeros((rows, columns), np.uint8)
    feet_of = _footprints(standing)
    if sunlit and not light.night:
        low = max(0.12, float(light.to_sun[1]))
        rings: list[Array] = []
        for (item, _, _), foot in zip(standing, feet_of, strict=True):
            reach = min(_LONGEST, float(item.shape.high[1] + item.h) / low)
            offset = (-float(light.to_sun[0]) * reach, -float(light.to_sun[2]) * reach)
            hull = cv2.convexHull(np.concatenate([foot, foot + offset]).astype(np.float32))
            rings.append(np.asarray(hull, np.float64)[:, 0])
        _fill(mask, camera, rings)
    _fill(feet, camera, [f for (item, _, _), f in zip(standing, feet_of, strict=True) if not item.backdrop])
    share = 1 - float((light.ambient / (light.ambient + light.sun * max(0.2, light.to_sun[1]))).mean())
    shadow = np.ones((rows, columns), np.float32)
    blur = columns / 480
    cv2.multiply(_soft(mask[first:], 0.8 * blur, share), _soft(feet[first:], 1.6 * blur, 0.55), dst=shadow[first:])
    return shadow


def _soft(mask: Pixels, blur: float, share: float) -> Plane:
    """What a blurred mask leaves of the light when it takes at most a share of it."""
    soft = cv2.GaussianBlur(mask, (0, 0), blur)
    return np.asarray(cv2.LUT(soft, (1 - share * np.arange(256) / 255).astype(np.float32)), np.float32)


def _footprints(standing: Sequence[tuple[Item, Array, float]]) -> list[Array]:
    """The ground under every thing: corners (x, z) [4 or 12, 2], world axes."""
    rings = []
    for item, position, heading in standing:
        (x0, _, z0), (x1, _, z1) = item.shape.low.tolist(), item.shape.high.tolist()
        reach = min(x1 - x0, 99.0 if item.backdrop else 4.0) / 2
        if isinstance(item.shape, Billboard):
            ring = _ROUND * (reach, reach)
        else:
            middle = (x0 + x1) / 2
            ring = np.array([[middle - reach, z0], [middle + reach, z0], [middle + reach, z1], [middle - reach, z1]])
        cos, sin = math.cos(heading), math.sin(heading)
        rings.append(ring @ np.array([[cos, -sin], [sin, cos]]) + position[[0, 2]])
    return rings


def _fill(mask: Pixels, camera: Camera, rings: list[Array]) -> None:
    """Fills polygons (x, z) of the ground in a half-size mask."""
    if not rings:
        return
    flat = np.concatenate(rings)
    points = np.stack([flat[:, 0], np.zeros(len(flat)), flat[:, 1]], axis=1)
    for corners in camera.project_polygons(points, [len(ring) for ring in rings]):
        if len(corners) >= 3:
            cv2.fillPoly(mask, [fixed(corners / 2)], (255,), cv2.LINE_AA, SHIFT)
