"""Crops of a fixed size at a drawn scale, with the light, blur and compression that cameras and validators add."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.training.detectors._samples import IGNORE, Sample
from streetvision_core.types import Pixels

DEVICE_PIXELS: Final = (8.0, 220.0)
"""Range of a device's height in a crop: from the far end of a lane closure to one beside the bumper."""

_MIN_VISIBLE: Final = 0.4
_MIN_PIXELS: Final = 5.0


def crop_view(sample: Sample, width: int, height: int, rng: np.random.Generator) -> Sample:
    """A random crop of `width` x `height` pixels at a random scale, flipped and degraded.

    Args:
        sample: the image and its boxes.
        width: the crop's width in pixels.
        height: the crop's height in pixels.
        rng: where all chance comes from.

    Returns:
        A sample of exactly that size; boxes cut beyond use or too small have become IGNORE.
    """
    targets = np.flatnonzero(sample.labels != IGNORE)
    focus = sample.corners[rng.choice(targets)] if len(targets) and rng.random() < 0.85 else None
    scale = _draw_scale(sample, focus, width, height, rng)
    x0, y0 = _draw_origin(sample, focus, scale, width, height, rng)
    pixels = _cut(sample.pixels, scale, x0, y0, width, height, rng)
    corners = (sample.corners - np.array([x0, y0, x0, y0], np.float32)) * np.float32(scale)
    corners, labels = _settle(corners, sample.labels, width, height)
    view = Sample(pixels, corners, labels, sample.known, sample.group)
    if rng.random() < 0.5:
        view = _flip(view)
    pixels, shrink = degrade(view.pixels, rng)
    longest = (view.corners[:, 2:] - view.corners[:, :2]).max(axis=1, initial=0.0)
    too_small = longest * shrink < _MIN_PIXELS
    return replace(view, pixels=pixels, labels=np.where(too_small, IGNORE, view.labels))


def _draw_scale(
    sample: Sample, focus: npt.NDArray[np.float32] | None, width: int, height: int, rng: np.random.Generator
) -> float:
    whole = width / sample.pixels.shape[1]
    if focus is None:
        return float(np.exp(rng.uniform(np.log(whole), np.log(max(1.3, whole * 1.5)))))
    low, high = DEVICE_PIXELS
    wanted = np.exp(rng.uniform(np.log(low), np.log(min(high, 0.9 * height))))
    scale = wanted / max(4.0, float(focus[3] - focus[1]))
    return float(np.clip(scale, 0.6 * whole, 2.0))


def _draw_origin(
    sample: Sample,
    focus: npt.NDArray[np.float32] | None,
    scale: float,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    origin = []
    for axis, (span, size) in enumerate(
        ((width / scale, sample.pixels.shape[1]), (height / scale, sample.pixels.shape[0]))
    ):
        slack = size - span
        low, high = min(0.0, slack), max(0.0, slack)
        if focus is not None:
            centre = float(focus[axis] + focus[axis + 2]) / 2
            low, high = max(low, centre - 0.95 * span), min(high, centre - 0.05 * span)
        origin.append(float(rng.uniform(low, high)) if high > low else low)
    return origin[0], origin[1]


def _cut(
    pixels: Pixels, scale: float, x0: float, y0: float, width: int, height: int, rng: np.random.Generator
) -> Pixels:
    """Cuts first where the image shrinks (area averaging needs a plain resize), warps where it grows."""
    fill = 0 if rng.random() < 0.6 else int(rng.integers(0, 255))
    if scale < 0.9:
        factor = max(1, int(np.floor(1 / scale)))
        if factor > 1 or scale < 0.75:
            smaller = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            pixels, x0, y0, scale = smaller.astype(np.uint8), x0 * scale, y0 * scale, 1.0
    matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]], np.float64)
    cut = cv2.warpAffine(
        pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(fill,) * 3
    )
    return cut.astype(np.uint8)


def _settle(
    corners: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], width: int, height: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Clips boxes to the crop; drops those outside, ignores those mostly cut away."""
    clipped = np.clip(corners, 0, np.array([width, height, width, height], np.float32)).astype(np.float32)
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    seen = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1)
    inside = seen > 1
    visible = seen / np.maximum(area, 1e-6) >= _MIN_VISIBLE
    return clipped[inside], np.where(visible, labels, IGNORE)[inside]


def _flip(sample: Sample) -> Sample:
    width = sample.pixels.shape[1]
    corners = sample.corners.copy()
    corners[:, [0, 2]] = width - corners[:, [2, 0]]
    return replace(sample, pixels=np.ascontiguousarray(sample.pixels[:, ::-1]), corners=corners)


def degrade(pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    """Light, colour, blur, noise, JPEG and, one time in three, the loss of detail of the 224-pixel eras.

    Returns:
        The pixels at their old size, and the factor (<= 1) by which detail was lost.
    """
    height, width = pixels.shape[:2]
    image = _light(pixels, rng)
    shrink = float(rng.uniform(0.3, 0.75)) if rng.random() < 0.35 else 1.0
    if shrink < 1:
        size = (max(8, round(width * shrink)), max(8, round(height * shrink)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6))).astype(np.uint8)
    if rng.random() < 0.25:
        noise = rng.normal(0, rng.uniform(2, 14), image.shape)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    if shrink < 1:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return image, shrink


def _light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    x = pixels.astype(np.float32) / 255
    if rng.random() < 0.8:
        x = x ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
        x = x * np.float32(rng.uniform(0.65, 1.3))
    if rng.random() < 0.5:
        grey = x.mean(axis=2, keepdims=True)
        x = grey + (x - grey) * np.float32(rng.uniform(0.4, 1.5))
    if rng.random() < 0.5:
        x = x * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.3:
        x = (x - 0.5) * np.float32(rng.uniform(0.6, 1.3)) + 0.5
    return np.clip(x * 255, 0, 255).astype(np.uint8)
