"""The geometric steps of the challenge, equal to torchvision's to the pixel or to one grey level.

Sources are named per function; torchvision itself is compared with in the tests and never imported here.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from streetvision_core.types import Pixels

Window = tuple[int, int, int, int]
"""Top, left, height, width in pixels."""

CROP_ATTEMPTS: Final = 10
_BAND_ROWS: Final = 128


def centre_square(pixels: Pixels) -> Pixels:
    """The largest centred square (torchvision `CenterCrop(min(img.size))`)."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = round((height - side) / 2.0), round((width - side) / 2.0)
    return pixels[top : top + side, left : left + side]


def resize_bilinear(pixels: Pixels, height: int, width: int) -> Pixels:
    """Pillow's antialiased bilinear resize, which torchvision's `Resize` uses on images."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def letterbox_floor(pixels: Pixels, side: int) -> Pixels:
    """Whole image in a black square: sides rounded down, the odd pixel of padding to the right and the bottom.

    Source: `ResizeWithPadding` in natix/utils/image_transforms.py (ykatyhoney/streetvision-subnet @c30b9a2).
    """
    height, width = pixels.shape[:2]
    scale = min(side / width, side / height)
    new_height, new_width = max(1, int(height * scale)), max(1, int(width * scale))
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - new_height) // 2, (side - new_width) // 2
    square[top : top + new_height, left : left + new_width] = resize_bilinear(pixels, new_height, new_width)
    return square


def rotate_nearest(pixels: Pixels, angle_degrees: float, window: Window | None = None) -> Pixels:
    """Rotates counter-clockwise about the centre, nearest neighbour, black outside, size kept.

    Equals torchvision's `functional.rotate` on a tensor with its defaults, up to pixels that lie on a tie.

    Args:
        pixels: uint8 [H, W, 3].
        angle_degrees: the angle.
        window: compute only this window of the rotated image.
    """
    height, width = pixels.shape[:2]
    top, left, rows, columns = window or (0, 0, height, width)
    cosine, sine = math.cos(math.radians(-angle_degrees)), math.sin(math.radians(-angle_degrees))
    x = np.arange(left, left + columns) + 0.5 - width / 2
    flat = pixels.reshape(-1, 3)
    result = np.empty((rows, columns, 3), np.uint8)
    for start in range(0, rows, _BAND_ROWS):  # bands keep the index arrays small on 12-megapixel images
        stop = min(start + _BAND_ROWS, rows)
        y = (np.arange(top + start, top + stop) + 0.5 - height / 2)[:, None]
        source_x = np.rint(cosine * x + sine * y + (width / 2 - 0.5)).astype(np.int64)
        source_y = np.rint(cosine * y - sine * x + (height / 2 - 0.5)).astype(np.int64)
        outside = (source_x < 0) | (source_x >= width) | (source_y < 0) | (source_y >= height)
        band = flat.take(source_y * width + source_x, axis=0, mode="clip")
        band[outside] = 0
        result[start:stop] = band
    return result


def draw_square_crop(height: int, width: int, scale: tuple[float, float], rng: np.random.Generator) -> Window:
    """Draws the window of torchvision's `RandomResizedCrop` with ratio (1, 1).

    Ten attempts at a square whose area is a uniform share of the image's; then the largest centred square.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        scale: smallest and largest share of the area.
        rng: the source of randomness.
    """
    for _ in range(CROP_ATTEMPTS):
        side = round(math.sqrt(height * width * rng.uniform(*scale)))
        if 0 < side <= height and side <= width:
            return int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)), side, side
    side = min(height, width)
    return (height - side) // 2, (width - side) // 2, side, side


def resize_float_truncated(pixels: Pixels, side: int) -> Pixels:
    """Antialiased bilinear resize in float, then cut down to uint8.

    Torchvision resizes the tensor in [0, 1] and `ToPILImage` multiplies by 255 and truncates; rounding here would make
    the image half a grey level brighter than what validators send.
    """
    planes = [_resize_plane(pixels[:, :, channel], side) for channel in range(3)]
    return np.dstack(planes)


def _resize_plane(plane: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    unit = Image.fromarray(plane.astype(np.float32) / np.float32(255))
    resized = np.asarray(unit.resize((side, side), Image.Resampling.BILINEAR))
    return np.clip(resized * np.float32(255), 0, 255).astype(np.uint8)
