"""Lights the painted ground: asphalt grain, shadows, headlights and street lamps, haze."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Plane, noise_tile
from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import Canvas
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import Billboard
from streetvision_core.data.scenes._world import Item
from streetvision_core.types import Pixels

_LONGEST: Final = 14.0
"""Metres: longest shadow drawn."""


def light_ground(canvas: Canvas, camera: Camera, light: Light, shadow: Plane, wear: float) -> None:
    """Multiplies the ground with asphalt grain, shadows and lamplight, then lays haze over it.

    Args:
        canvas: painted ground.
        camera: the camera.
        light: the light.
        shadow: float32 at half size, 1 lit .. 0 dark.
        wear: strength of the grain.
    """
    rows, columns = shadow.shape
    first = max(0, int(np.floor((camera.horizon - 30) / camera.height * rows)))
    rays, shadow = camera.rays(columns, rows, first), shadow[first:]
    share = np.asarray(np.float32(camera.position[1]) / np.maximum(-rays[..., 1], np.float32(1e-3)), np.float32)
    x, z = np.asarray(rays[..., 0] * share), np.asarray(rays[..., 2] * share)
    # haze and the loss of grain hardly change along a row
    meters = 1.04 * share[:, columns // 2].astype(np.float64)
    gain = shadow * (1 + np.float32(wear) * _grain(x, z, meters, camera))
    clear = np.exp(-light.density * meters).astype(np.float32)[:, None]
    lit = _lit(light, camera, x, z)
    above = rays[..., 1] > -1e-3
    planes = []
    for channel in range(3):
        plane = gain * lit[channel] * clear
        plane[above] = 1.0
        planes.append(plane)
    veil = np.repeat(np.clip((1 - clear) * light.haze, 0, 255).astype(np.uint8)[:, None], columns, axis=1)
    veil[above] = 0
    _apply(canvas, np.asarray(cv2.merge(planes), np.float32), veil, first)


def _apply(canvas: Canvas, gain: Plane, veil: Pixels, first: int) -> None:
    """Lays the half-size maps over the canvas in whole numbers, which is three times as fast as in floats."""
    target = canvas.rgb[first * 2 :]
    size = (target.shape[1], target.shape[0])
    scale = 110.0
    factor = cv2.resize(cv2.convertScaleAbs(gain, alpha=scale), size, interpolation=cv2.INTER_LINEAR)
    haze = cv2.resize(veil, size, interpolation=cv2.INTER_LINEAR)
    cv2.add(cv2.multiply(target, factor, scale=1 / scale), haze, dst=target)


def _grain(x: Plane, z: Plane, meters: Array, camera: Camera) -> Plane:
    tile = noise_tile()
    total = np.zeros_like(x)
    for cells, weight in ((6.0, 0.55), (46.0, 0.8)):
        # remap counts in 16 bits: the whole tiles between here and the origin are left out
        u = x * np.float32(cells) + np.float32(camera.position[0] * cells % 512)
        v = z * np.float32(cells) + np.float32(camera.position[2] * cells % 512)
        sample = np.asarray(cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)
        total += sample * (weight * np.exp(meters * (-cells / 900))).astype(np.float32)[:, None]
    return total


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
    size = (camera.height // 2, camera.width // 2)
    sunlit = float(light.sun.mean()) > 0.25
    mask = np.zeros(size, np.uint8)
    feet = np.zeros(size, np.uint8)
    for item, position, heading in standing:
        foot = _footprint(item, position, heading)
        if sunlit and not light.night:
            low = max(0.12, float(light.to_sun[1]))
            reach = min(_LONGEST, float(item.shape.high[1] + item.h) / low)
            offset = np.array([-light.to_sun[0] * reach, 0.0, -light.to_sun[2] * reach])
            _fill(mask, camera, _hull(np.concatenate([foot, foot + offset])), 255)
        if not item.backdrop:
            _fill(feet, camera, foot, 255)
    blur = size[1] / 480
    soft = cv2.GaussianBlur(mask, (0, 0), 0.8 * blur).astype(np.float32) / 255
    dark = cv2.GaussianBlur(feet, (0, 0), 1.6 * blur).astype(np.float32) / 255
    share = 1 - float((light.ambient / (light.ambient + light.sun * max(0.2, light.to_sun[1]))).mean())
    return np.asarray((1 - soft * share) * (1 - 0.55 * dark), np.float32)


def _footprint(item: Item, position: Array, heading: float) -> Array:
    low, high = item.shape.low, item.shape.high
    reach = min(float(high[0] - low[0]), 4.0 if item.backdrop is False else 99.0) / 2
    middle = float(low[0] + high[0]) / 2
    corners = np.array(
        [
            [middle - reach, 0, low[2]],
            [middle + reach, 0, low[2]],
            [middle + reach, 0, high[2]],
            [middle - reach, 0, high[2]],
        ]
    )
    if isinstance(item.shape, Billboard):
        angles = np.arange(12) * np.pi / 6
        corners = np.stack([0.8 * reach * np.cos(angles), np.zeros(12), 0.5 * reach * np.sin(angles)], axis=1)
    cos, sin = np.cos(heading), np.sin(heading)
    placed = corners @ np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]]) + position
    placed[:, 1] = 0.0
    return np.asarray(placed)


def _hull(points: Array) -> Array:
    flat = points[:, [0, 2]].astype(np.float32)
    ring = np.asarray(cv2.convexHull(flat))[:, 0]
    return np.stack([ring[:, 0], np.zeros(len(ring)), ring[:, 1]], axis=1).astype(np.float64)


def _fill(mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], camera: Camera, ring: Array, value: int) -> None:
    corners = camera.project_polygon(ring)
    if len(corners) >= 3:
        cv2.fillPoly(mask, [np.rint(np.clip(corners / 2, -3e4, 3e4) * 16).astype(np.int32)], (value,), cv2.LINE_AA, 4)
