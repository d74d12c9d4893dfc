"""Numbers about one image that the failure-mode rules look at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.types import Pixels

WIDTH_PIXELS: Final = 240
"""Images are shrunk to this width first, so that a rule means the same at every resolution."""
SKY: Final = (0.0, 0.3)
HORIZON: Final = (0.35, 0.6)
"""Bands of the height, from the top: where a dashcam sees the sky, and where it sees what is far away."""
MIRROR: Final = (0.34, 0.62)
"""Where the horizon may lie, as shares of the height."""
_MIRROR_BAND: Final = (0.1, 0.36)
"""What is compared with its mirror image, counted from the horizon."""
_PATCH_PIXELS: Final = 9
_CLIPPED: Final = 248
_BLACK: Final = 3
_LIT: Final = 0.05
"""A row or column belongs to the picture where more than this share of it is not black."""


@dataclass(frozen=True, slots=True)
class ImageStatistics:
    """Measures of one image, in [0, 1]; the black borders of a letterbox are left out.

    Attributes:
        brightness: mean luma.
        contrast: standard deviation of luma.
        saturation: mean saturation.
        sky: median luma of the upper part.
        haze: dark channel (He, Sun and Tang: Single Image Haze Removal Using Dark Channel Prior, 2009) over luma, both
            in the band around the horizon: clear air shows something dark in every patch, fog lifts it.
        clipped: share of pixels in the largest patch at the top of the scale.
        mirrored: correlation of what lies below the horizon with the mirror image of what lies above it, at the horizon
            where it is largest: a wet road shows house, tree and car upside down and smeared along the vertical.
    """

    brightness: float
    contrast: float
    saturation: float
    sky: float
    haze: float
    clipped: float
    mirrored: float

    def to_dict(self) -> dict[str, float]:
        """By name, rounded."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def measure(pixels: Pixels) -> ImageStatistics:
    """Measures an image.

    Args:
        pixels: uint8 [H, W, 3], RGB.
    """
    small = _shrink(_without_borders(pixels))
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    low, high = _extremes(small)
    dark = cv2.erode(low, np.ones((_PATCH_PIXELS, _PATCH_PIXELS), np.uint8)).astype(np.float32) / 255.0
    return ImageStatistics(
        brightness=float(luma.mean()),
        contrast=float(luma.std()),
        saturation=float((cv2.subtract(high, low) / np.maximum(high, 1).astype(np.float32)).mean()),
        sky=float(np.median(luma[_band(luma, SKY)])),
        # A little is added below, so that a black band counts as clear, not as a division by zero.
        haze=float(dark[_band(luma, HORIZON)].mean() / (luma[_band(luma, HORIZON)].mean() + 0.02)),
        clipped=_largest_patch(low >= _CLIPPED),
        mirrored=_mirrored(luma),
    )


def _extremes(pixels: Pixels) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The least and the greatest channel of each pixel; OpenCV does it some twenty times faster than NumPy."""
    red, green, blue = cv2.split(pixels)
    low, high = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
    return np.asarray(low, np.uint8), np.asarray(high, np.uint8)


def _without_borders(pixels: Pixels) -> Pixels:
    lit = (_extremes(pixels)[1] > _BLACK).view(np.uint8)
    by_row, by_column = (cv2.reduce(lit, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() for axis in (1, 0))
    height, width = lit.shape
    rows, columns = np.flatnonzero(by_row > _LIT * width), np.flatnonzero(by_column > _LIT * height)
    if len(rows) < 8 or len(columns) < 8:
        return pixels
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shrink(pixels: Pixels) -> npt.NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    # No picture of a street is that tall or flat; the limits keep a strip of pixels from growing into a huge image.
    size = (WIDTH_PIXELS, int(np.clip(round(height * WIDTH_PIXELS / width), 16, 2 * WIDTH_PIXELS)))
    way = cv2.INTER_AREA if width > WIDTH_PIXELS else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=way), np.uint8)


def _band(luma: npt.NDArray[np.float32], part: tuple[float, float]) -> slice:
    return slice(int(part[0] * len(luma)), int(part[1] * len(luma)) + 1)


def _mirrored(luma: npt.NDArray[np.float32]) -> float:
    height, width = luma.shape
    # What changes slowly along a row, such as the light, is in both halves of a dry street too.
    detail = cv2.blur(luma - cv2.blur(luma, (41, 1)), (1, 9))
    even = detail / (cv2.blur(np.abs(detail), (41, 21)) + 0.008)
    inside = even[:, width // 10 : width - width // 10]
    near, far = (round(share * height) for share in _MIRROR_BAND)
    best = 0.0
    for horizon in range(int(MIRROR[0] * height), int(MIRROR[1] * height), max(2, height // 68)):
        reach = min(far, height - 4 - horizon, horizon)
        if reach - near < height // 14 + 1:
            continue
        below = inside[horizon + near : horizon + reach]
        above = inside[horizon - reach : horizon - near][::-1]
        size = float(np.sqrt(np.vdot(below, below) * np.vdot(above, above)))
        best = max(best, float(np.vdot(below, above)) / size if size > 0 else 0.0)
    return min(best, 1.0)


def _largest_patch(mask: npt.NDArray[np.bool_]) -> float:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max() / mask.size) if count > 1 else 0.0
