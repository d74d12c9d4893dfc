"""Paints sky, horizon and ground: everything that stands behind the items."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Plane, noise_tile
from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import Canvas
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import Billboard, Color
from streetvision_core.data.scenes._nature import skyline
from streetvision_core.data.scenes._road import Road
from streetvision_core.data.scenes._world import Item, Patch

_REACH: Final = np.concatenate([np.arange(1.5, 12, 1.5), np.geomspace(12, 260, 26)])
"""Metres before the camera at which the edges of strips are placed."""

_LONGEST: Final = 14.0
"""Metres: longest shadow drawn."""


def paint_sky(canvas: Canvas, camera: Camera, light: Light, seed: int) -> None:
    """Fills the canvas above the horizon: gradient, clouds, the glow round the sun."""
    rows = max(8, camera.height // 8)
    columns = max(8, camera.width // 8)
    rays = camera.rays(columns, rows)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    up = np.clip(rays[..., 1], 0.0, 1.0)
    blend = np.clip(up * 2.6, 0, 1)[..., None] ** 0.6
    sky = light.haze * (1 - blend) + light.zenith * blend
    cover = _clouds(rays, up, light, seed)[..., None]
    tone = np.minimum(255, light.haze * 1.12) if not light.night else light.haze * 0.8
    sky = sky * (1 - cover) + tone * cover
    if not light.night and light.sun[0] > 0.3:
        near = np.clip(rays @ light.to_sun.astype(np.float32), 0, 1)[..., None]
        glow = 0.35 * near**8 + (1.5 * near**90 + 4 * near**2000)
        sky = sky + np.array([255, 244, 220]) * glow * (0.35 + 0.9 * light.glare)
    small = np.clip(sky, 0, 255).astype(np.float32)
    full = cv2.resize(small, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)
    canvas.rgb[...] = np.asarray(full).astype(np.uint8)


def _clouds(rays: Plane, up: Plane, light: Light, seed: int) -> Plane:
    tile = noise_tile()
    height = up + 0.06
    shift = np.float32((seed * 97) % 512)
    u = (rays[..., 0] / height * 34 + shift) % 512
    v = (rays[..., 2] / height * 34 + shift) % 512
    noise = cv2.remap(tile, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    strength = 0.3 if light.cloud >= 1 else 0.85
    cover = np.clip((np.asarray(noise) + (light.cloud - 0.6) * 3.2) * 0.55, 0, 1)
    return np.asarray(cover * strength * np.clip(up * 9, 0, 1), np.float32)


def paint_horizon(canvas: Canvas, camera: Camera, light: Light, variant: int, verge: Color) -> None:
    """Hills, woods or roofs far away, and the bare ground below the horizon."""
    columns = np.linspace(0, camera.width, 97)
    line = skyline(variant)
    right, forward = camera.rotation[0], camera.rotation[2]
    azimuth = np.arctan2(forward[0], forward[2]) + np.arctan((columns - camera.center[0]) / camera.focal)
    where = (azimuth / (2 * np.pi) * 2048).astype(int) % len(line)
    tilt = right[1] * (columns - camera.center[0])
    base = camera.horizon + tilt * 1.0
    shade = light.shade(np.array([[0.0, 1.0, 0.0]]), camera.position + 300.0, camera.position)[0]
    green: Color = (88, 98, 78) if variant % 3 != 2 else (122, 120, 122)
    paint = light.as_paint(shade, min(420.0, 1.1 / light.density))
    _below(canvas, camera, columns, base - line[where] * camera.focal, paint.color(green))
    _below(canvas, camera, columns, base, verge)


def _below(canvas: Canvas, camera: Camera, columns: Array, rows: Array, color: Color) -> None:
    ring = np.concatenate([np.stack([columns, rows], axis=1), [[camera.width, camera.height], [0, camera.height]]])
    canvas.polygon(ring, color)


def paint_ground(canvas: Canvas, camera: Camera, road: Road, patches: tuple[Patch, ...], s: float) -> None:
    """Paints strips, patches and markings in plain colours; `s` is where the camera stands."""
    reach = s + _REACH
    for strip in road.section.strips():
        near, far = road.place(reach, strip.d0), road.place(reach[::-1], strip.d1)
        canvas.polygon(camera.project_polygon(np.concatenate([near, far])), strip.color, smooth=True)
    for patch in patches:
        if patch.s1 > s and patch.s0 < s + 200:
            _patch(canvas, camera, road, patch)
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


def _patch(canvas: Canvas, camera: Camera, road: Road, patch: Patch) -> None:
    s = np.array([patch.s0, patch.s0, patch.s1, patch.s1])
    d = np.array([patch.d0, patch.d1, patch.d1, patch.d0])
    canvas.polygon(camera.project_polygon(road.place(s, d)), patch.color, smooth=True)


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
    meters = np.asarray(np.sqrt(x * x + z * z))
    grain = 1 + np.float32(wear) * _grain(x, z, share, camera)
    gain = (grain * shadow)[..., None] * _lit(light, camera, x, z, meters)
    clear = np.asarray(cv2.exp(meters * np.float32(-light.density)), np.float32)
    above = rays[..., 1] > -1e-3
    clear[above] = 1.0
    gain[above] = 1.0
    haze = (1 - clear)[..., None] * light.haze.astype(np.float32)
    _apply(canvas, gain * clear[..., None], haze, first)


def _apply(canvas: Canvas, gain: Plane, haze: Plane, first: int) -> None:
    """Lays the half-size maps over the canvas in whole numbers, which is three times as fast as in floats."""
    top = first * 2
    target = canvas.rgb[top:]
    size = (target.shape[1], target.shape[0])
    scale = 110.0
    factor = cv2.resize(np.clip(gain * scale, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    veil = cv2.resize(np.clip(haze, 0, 255).astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    cv2.add(cv2.multiply(target, factor, scale=1 / scale), veil, dst=target)


def _grain(x: Plane, z: Plane, share: Plane, camera: Camera) -> Plane:
    tile = noise_tile()
    total = np.zeros_like(x)
    for cells, weight in ((6.0, 0.55), (46.0, 0.8)):
        # remap counts in 16 bits: the whole tiles between here and the origin are left out
        u = x * np.float32(cells) + np.float32(camera.position[0] * cells % 512)
        v = z * np.float32(cells) + np.float32(camera.position[2] * cells % 512)
        sample = np.asarray(cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)
        total += sample * (np.float32(weight) * np.asarray(cv2.exp(share * np.float32(-cells / 900)), np.float32))
    return total


def _lit(light: Light, camera: Camera, x: Plane, z: Plane, meters: Plane) -> Plane:
    """RGB light on ground points given from below the camera, world axes."""
    up = np.array([[0.0, 1.0, 0.0]])
    if not light.night:
        return np.asarray(light.shade(up, camera.position, camera.position)[0], np.float32)[None, None]
    forward = camera.rotation[2].astype(np.float32)
    ahead, aside = x * forward[0] + z * forward[2], x * forward[2] - z * forward[0]
    beam = np.exp(-((aside / (1.6 + 0.2 * np.clip(ahead, 0, None))) ** 2)) / (1 + (meters / 15) ** 2)
    lit = light.ambient.astype(np.float32) + (0.95 * beam)[..., None] * np.array([1.0, 0.95, 0.84], np.float32)
    pools = np.zeros_like(x)
    for lamp in light.lamps - camera.position if len(light.lamps) else ():
        if np.hypot(lamp[0], lamp[2]) < 90:
            away = 1 + ((x - np.float32(lamp[0])) ** 2 + (z - np.float32(lamp[2])) ** 2) / 30
            pools += 0.5 / (away * np.sqrt(away))
    return np.asarray(lit + pools[..., None] * np.array([1.0, 0.76, 0.46], np.float32), np.float32)


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
