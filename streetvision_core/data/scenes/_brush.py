"""Drawing helpers for procedural sprites: round bodies, stripes, noise; all sizes in texture pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.types import Pixels

Color = tuple[float, float, float]
Plane = npt.NDArray[np.float32]


@cache
def noise_tile(size: int = 512, octaves: int = 6, seed: int = 7) -> Plane:
    """A seamless fractal noise tile, float32 [size, size], mean 0, standard deviation 1."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = 4 * 2**octave
        if cells > size:
            break
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(coarse, 2, mode="wrap")
        factor = size // cells
        fine = cv2.resize(wrapped, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        total += np.asarray(fine, np.float32)[2 * factor : 2 * factor + size, 2 * factor : 2 * factor + size] / (
            1.6**octave
        )
    out: Plane = (total - total.mean()) / total.std()
    return out


def round_body(
    height: int, width: int, halves: Sequence[tuple[float, float]], bands: Sequence[tuple[float, Color]]
) -> Pixels:
    """A round body seen from the side: lit from the upper left, with bands of colour from the top.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        halves: (row share, half-width share of the picture) pairs from the top; linear between.
        bands: (row share where the band ends, RGB) from the top.

    Returns:
        Straight RGBA.
    """
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5) * 2
    half = np.interp(y, [h[0] for h in halves], [h[1] for h in halves])
    half[(y < halves[0][0]) | (y > halves[-1][0])] = 0
    across = x[None, :] / np.maximum(half[:, None], 1e-4)
    # bands look curved because the camera stands a little above
    bend = 0.02 * np.sqrt(np.clip(1 - across**2, 0, 1))
    level = y[:, None] - bend
    rgb = np.zeros((height, width, 3), np.float32)
    start = -1.0
    for end, color in bands:
        rgb[(level >= start) & (level < end)] = color
        start = end
    rgb *= (0.62 + 0.46 * np.sqrt(np.clip(1 - (across * 0.9 + 0.25) ** 2, 0, 1)))[..., None]
    alpha = np.clip((half[:, None] - np.abs(x[None, :])) * width / 2 + 0.5, 0, 1) * (half[:, None] > 0)
    return np.dstack([np.clip(rgb, 0, 255), alpha * 255]).astype(np.uint8)


def over(below: Pixels, above: Pixels) -> Pixels:
    """Straight RGBA `above` laid over `below`."""
    a = above[..., 3:].astype(np.float32) / 255
    b = below[..., 3:].astype(np.float32) / 255
    alpha = a + b * (1 - a)
    rgb = (above[..., :3] * a + below[..., :3] * b * (1 - a)) / np.maximum(alpha, 1e-4)
    return np.dstack([rgb, alpha * 255]).astype(np.uint8)


def stripes(width: int, height: int, colors: tuple[Color, Color], pitch: float, slant: float, lean: int = 1) -> Pixels:
    """Diagonal (slant 1) or upright (slant 0) stripes of two colours on an opaque board."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = ((x + lean * slant * y) / pitch) % 2 < 1
    rgb = np.where(phase[..., None], np.array(colors[0]), np.array(colors[1]))
    out = np.dstack([rgb, np.full((height, width), 255.0)]).astype(np.uint8)
    return grime(out, 0.06)


def grime(rgba: Pixels, amount: float, seed: int = 0) -> Pixels:
    """Makes a surface uneven by a share of its brightness."""
    height, width = rgba.shape[:2]
    tile = noise_tile()
    size = tile.shape[0]
    rows = (np.arange(height) + 37 * seed) % size
    columns = (np.arange(width) + 91 * seed) % size
    factor = 1 + amount * tile[np.ix_(rows, columns)]
    out = rgba.copy()
    out[..., :3] = np.clip(rgba[..., :3] * factor[..., None], 0, 255).astype(np.uint8)
    return out


def blank(height: int, width: int) -> Pixels:
    """A transparent RGBA picture."""
    return np.zeros((height, width, 4), np.uint8)


def shrink(rgba: Pixels, factor: int) -> Pixels:
    """Averages straight RGBA down by a whole factor without dark fringes."""
    alpha = rgba[..., 3:].astype(np.float32)
    bundle = np.dstack([rgba[..., :3] * alpha, alpha])
    size = (rgba.shape[1] // factor, rgba.shape[0] // factor)
    small = np.asarray(cv2.resize(bundle, size, interpolation=cv2.INTER_AREA), np.float32)
    rgb = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return np.dstack([np.clip(rgb, 0, 255), small[..., 3]]).astype(np.uint8)
