"""Paints the sky, the outline of the horizon and the bare ground below it."""

from __future__ import annotations

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Plane, noise_tile
from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import Canvas
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import Color
from streetvision_core.data.scenes._nature import skyline


def paint_sky(canvas: Canvas, camera: Camera, light: Light, seed: int) -> None:
    """Fills the canvas above the horizon: gradient, clouds, the glow round the sun."""
    rows = max(8, camera.height // 4)
    columns = max(8, camera.width // 4)
    bottom = int(np.clip(camera.horizon / camera.height * rows + 3, 1, rows))
    across, along = camera.ray_parts(columns, rows)
    rays = across + along[:bottom, None]
    rays /= np.sqrt((rays * rays).sum(axis=-1, keepdims=True))
    up = np.clip(rays[..., 1], 0.0, 1.0)
    blend = _power(np.clip(up * 2.6, 0, 1), 0.6)[..., None]
    haze, zenith = light.haze.astype(np.float32), light.zenith.astype(np.float32)
    sky = haze + (zenith - haze) * blend
    cover = _clouds(rays, up, light, seed)[..., None]
    tone = np.minimum(255, haze * 1.12) if not light.night else haze * 0.8
    sky += (tone - sky) * cover
    if not light.night and light.sun[0] > 0.3:
        near = np.clip(rays @ light.to_sun.astype(np.float32), 0, 1)
        glow = 0.35 * _power(near, 8) + (1.5 * _power(near, 90) + 4 * _power(near, 2000))
        sky += np.array([255, 244, 220], np.float32) * (glow * np.float32(0.35 + 0.9 * light.glare))[..., None]
    small = np.clip(sky, 0, 255).astype(np.uint8)
    size = (camera.width, bottom * camera.height // rows)
    canvas.rgb[: size[1]] = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


def _power(base: Plane, exponent: float) -> Plane:
    """Numbers >= 0 to a power, in a quarter of the time of NumPy's own."""
    return np.asarray(np.exp(np.float32(exponent) * np.log(np.maximum(base, np.float32(1e-12)))))


def _clouds(rays: Plane, up: Plane, light: Light, seed: int) -> Plane:
    tile = noise_tile()
    height = up + 0.06
    shift = np.float32((seed * 97) % 512)
    scale = np.float32(34) / height
    u, v = rays[..., 0] * scale + shift, rays[..., 2] * scale + shift
    noise = cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
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
    paint = light.as_paint(shade, 420.0)
    _below(canvas, camera, columns, base - line[where] * camera.focal, paint.color(green))
    _below(canvas, camera, columns, base, verge)


def _below(canvas: Canvas, camera: Camera, columns: Array, rows: Array, color: Color) -> None:
    ring = np.concatenate([np.stack([columns, rows], axis=1), [[camera.width, camera.height], [0, camera.height]]])
    canvas.polygon(ring, color, smooth=True)
