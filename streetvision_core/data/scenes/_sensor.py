"""From light to file: wet reflections, rain, bloom and glare, then lens, exposure, noise and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Plane
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._view import SUPER, Look
from streetvision_core.types import Pixels


@dataclass(frozen=True, slots=True)
class Sensor:
    """One dashcam's sensor: the same for every frame of a drive.

    Attributes:
        gain: exposure factor.
        balance: RGB factors of the white balance.
        gamma: tone curve exponent.
        saturation: factor of colour.
        blur: standard deviation of the lens blur, picture pixels.
        sharpen: strength of the camera's sharpening.
        noise: standard deviation, 0..255.
        vignette: darkening of the corners, 0..1.
        quality: JPEG quality.
    """

    gain: float
    balance: tuple[float, float, float]
    gamma: float
    saturation: float
    blur: float
    sharpen: float
    noise: float
    vignette: float
    quality: int


def draw_sensor(rng: np.random.Generator, night: bool) -> Sensor:
    """Draws a sensor; night frames are noisier."""
    warm = float(rng.normal(0, 0.035))
    return Sensor(
        gain=float(np.exp(rng.normal(0, 0.13))),
        balance=(1 + warm, 1 + float(rng.normal(0, 0.012)), 1 - warm),
        gamma=float(np.exp(rng.normal(0, 0.12))),
        saturation=float(rng.uniform(0.7, 1.2)),
        blur=float(rng.choice([0.0, 0.45, 0.7, 1.0], p=[0.3, 0.35, 0.25, 0.1])),
        sharpen=float(rng.choice([0.0, 0.5, 1.0], p=[0.5, 0.3, 0.2])),
        noise=float(rng.uniform(4, 11) if night else rng.uniform(1, 5)),
        vignette=float(rng.uniform(0, 0.3)),
        quality=int(rng.integers(62, 96)),
    )


def develop(look: Look, light: Light, sensor: Sensor, rng: np.random.Generator) -> Pixels:
    """The picture as the dashcam stores it, uint8 RGB of the look's size."""
    picture = look.pixels.astype(np.float32)
    if light.wet:
        picture = _reflect(picture, look, light.wet)
    if light.night or light.glare:
        picture = _bloom(picture, 0.55 if light.night else 0.35)
    if light.glare:
        picture = _flare(picture, look, light)
    if light.wet:
        picture = _rain(picture, light.wet, rng)
    return _expose(picture, sensor, rng)


def _reflect(picture: Plane, look: Look, wet: float) -> Plane:
    horizon = round(look.camera.horizon / SUPER)
    height = picture.shape[0]
    if not 8 < horizon < height - 8:
        return picture
    mirror = np.clip(2 * horizon - np.arange(horizon, height), 0, height - 1)
    image = cv2.blur(picture[mirror], (3, 17))
    share = (0.42 * wet) * look.ground[horizon:, :, None].astype(np.float32)
    out = picture.copy()
    out[horizon:] = picture[horizon:] * (1 - 0.75 * share) + image * share
    return out


def _bloom(picture: Plane, strength: float) -> Plane:
    small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    bright = np.clip(np.asarray(small) - 165, 0, 90) * 1.8
    halo = cv2.GaussianBlur(bright, (0, 0), 2.2) * 0.7 + cv2.GaussianBlur(bright, (0, 0), 8.0) * 0.9
    full = cv2.resize(halo, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(picture + strength * np.asarray(full), np.float32)


def _flare(picture: Plane, look: Look, light: Light) -> Plane:
    seen = look.camera.rotation @ light.to_sun
    height, width = picture.shape[:2]
    if seen[2] <= 0.2:
        return picture
    u = (seen[0] / seen[2] * look.camera.focal + look.camera.center[0]) / SUPER
    v = (seen[1] / seen[2] * look.camera.focal + look.camera.center[1]) / SUPER
    y, x = np.mgrid[0:height:4, 0:width:4].astype(np.float32)
    away = np.hypot(x - u, y - v) / width
    veil = light.glare * (150 * np.exp(-away / 0.10) + 95 * np.exp(-away / 0.45))
    # a faint ghost of the sun on the other side of the lens
    ghost = np.hypot(x - (width - u), y - (height - v)) / width
    veil += light.glare * 16 * np.exp(-((ghost / 0.03) ** 2))
    veil = np.asarray(cv2.resize(veil.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR))
    glow = veil[..., None] * np.array([1.0, 0.95, 0.82], np.float32)
    return np.asarray(picture * np.float32(1 - 0.2 * light.glare) + glow, np.float32)


def _rain(picture: Plane, wet: float, rng: np.random.Generator) -> Plane:
    height, width = picture.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    count = int(wet * 110 * width / 480)
    starts = rng.uniform((0, -0.1 * height), (width, height), (count, 2))
    lengths = rng.uniform(0.02, 0.07, count) * height
    lean = rng.uniform(-0.25, 0.25)
    for (x, y), length in zip(starts, lengths, strict=True):
        cv2.line(streaks, (int(x), int(y)), (int(x + lean * length), int(y + length)), 90, 1, cv2.LINE_AA)
    # the wet air takes colour away, and streaks are the brighter the brighter it is behind them
    dull = 0.82 * np.eye(3) + 0.14 / 3
    behind = cv2.transform(picture, np.full((1, 3), 0.3 / 255 / 3))
    shine = cv2.multiply(cv2.blur(streaks, (1, 3)).astype(np.float32), np.asarray(behind) + 0.09)
    wetted = cv2.add(cv2.transform(picture, dull), cv2.merge([shine, shine, shine]))
    return _drops(np.asarray(wetted, np.float32), wet, rng)


def _drops(picture: Plane, wet: float, rng: np.random.Generator) -> Plane:
    """Drops on the windscreen: small lenses that show the scene upside down and blurred."""
    height, width = picture.shape[:2]
    for _ in range(int(rng.poisson(14 * wet))):
        radius = int(rng.uniform(0.008, 0.024) * width) + 1
        x, y = int(rng.integers(radius, width - radius)), int(rng.integers(radius, height - radius))
        tile = picture[y - radius : y + radius + 1, x - radius : x + radius + 1]
        turned = cv2.blur(np.ascontiguousarray(tile[::-1, ::-1]), (radius | 1, radius | 1))
        share = _lens(radius)
        tile[...] = tile * (1 - share) + turned * (1.05 * share)
    return picture


@lru_cache(maxsize=128)
def _lens(radius: int) -> Plane:
    """How much a drop [2 radius + 1, 2 radius + 1, 1] hides of what is behind it."""
    ring = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) / radius
    return np.asarray(np.clip((1 - ring) * 3, 0, 0.75)[..., None], np.float32)


def expose(pixels: Pixels, sensor: Sensor, rng: np.random.Generator) -> Pixels:
    """Lens, exposure, noise and JPEG on finished pixels."""
    return _expose(pixels.astype(np.float32), sensor, rng)


def _expose(picture: Plane, sensor: Sensor, rng: np.random.Generator) -> Pixels:
    # saturation and white balance are one matrix
    grey = (1 - sensor.saturation) / 3
    matrix = (np.full((3, 3), grey) + sensor.saturation * np.eye(3)) * np.array(sensor.balance)[:, None] * sensor.gain
    picture = np.asarray(cv2.transform(picture, matrix), np.float32)
    dark = _vignette(picture.shape[0], picture.shape[1], round(sensor.vignette, 1))
    picture = np.asarray(cv2.multiply(picture, dark), np.float32)
    if sensor.blur:
        picture = _soften(picture, sensor.blur)
    if sensor.sharpen:
        soft = _soften(picture, 1.2)
        picture = np.asarray(cv2.addWeighted(picture, 1 + sensor.sharpen, soft, -sensor.sharpen, 0), np.float32)
    noisy = cv2.scaleAdd(grain(picture.shape, rng), sensor.noise, picture)
    # whole numbers before the tone curve, which then is a table
    levels = np.asarray(cv2.convertScaleAbs(noisy), np.uint8)
    curve = (255 * (np.arange(256) / 255) ** sensor.gamma).astype(np.uint8)
    toned = np.asarray(cv2.LUT(levels, curve), np.uint8)
    return jpeg(toned, sensor.quality)


def _soften(picture: Plane, deviation: float) -> Plane:
    """A Gaussian blur out to three deviations; OpenCV goes out to four in floats."""
    size = 2 * max(1, round(3 * deviation)) + 1
    return np.asarray(cv2.GaussianBlur(picture, (size, size), deviation), np.float32)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """The pixels after one JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)


@lru_cache(maxsize=16)
def _vignette(height: int, width: int, strength: float) -> Plane:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.asarray((1 - strength * (x * x + y * y) / 2)[..., None].repeat(3, axis=2), np.float32)


def grain(shape: tuple[int, ...], rng: np.random.Generator) -> Plane:
    """Sensor noise [H, W, 3], deviation about 1: cut at random from one fixed tile, for speed."""
    tile = _grain_tile()
    height, width = shape[:2]
    spare = tile.shape[0] - height, tile.shape[1] - width
    y, x = (int(rng.integers(room + 1)) if room >= 0 else 0 for room in spare)
    if min(spare) >= 0:
        return tile[y : y + height, x : x + width]
    rows, columns = (np.arange(height) + y) % tile.shape[0], (np.arange(width) + x) % tile.shape[1]
    return np.asarray(tile[rows][:, columns], np.float32)


@cache
def _grain_tile() -> Plane:
    rng = np.random.default_rng(5)
    shared = rng.standard_normal((1031, 1531, 1)).astype(np.float32)
    own = rng.standard_normal((1031, 1531, 3)).astype(np.float32)
    # sensors demosaic: neighbouring pixels share some of their noise
    return np.asarray(cv2.GaussianBlur(0.75 * shared + 0.5 * own, (0, 0), 0.6) * 1.7, np.float32)
