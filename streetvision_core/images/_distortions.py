"""The five DeeperForensics distortions the validators used, with their level tables.

Source: natix/utils/image_transforms.py of natixnetwork/streetvision-subnet (@128981d), which took them from BitMind's
subnet and so from DeeperForensics-1.0. Validators swap RGB to BGR before and back after; so does `distort`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.types import Pixels

Distortion = Literal["CS", "CC", "JPEG", "GNC", "GB"]

LEVELS: Final[dict[Distortion, tuple[float, ...]]] = {
    "CS": (0.4, 0.3, 0.2, 0.1, 0.0),  # factor on the chroma
    "CC": (0.85, 0.725, 0.6, 0.475, 0.35),  # factor on all channels
    "JPEG": (2, 3, 4, 5, 6),  # down- and upsampling factor; no JPEG in it, whatever the name says
    "GNC": (0.001, 0.002, 0.005, 0.01, 0.05),  # variance of the noise in units of full scale
    "GB": (7, 9, 13, 17, 21),  # kernel size in pixels
}
"""The parameter of levels 1 to 5; the challenge uses levels 0 (nothing) to 2."""

_Float = npt.NDArray[np.float32]


def distort(pixels: Pixels, distortion: Distortion, level: int, rng: np.random.Generator) -> Pixels:
    """Applies one distortion; level 0 returns the pixels unchanged."""
    if level == 0:
        return pixels
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    distorted = _FUNCTIONS[distortion](bgr, LEVELS[distortion][level - 1], rng)
    return np.asarray(distorted[:, :, ::-1], np.uint8, order="C")


def cast_without_clipping(values: npt.NDArray[np.float32] | npt.NDArray[np.float64]) -> Pixels:
    """Cuts towards zero and wraps modulo 256: `astype(uint8)` as x86 machines do it, the same on every machine.

    For 8-bit input the colour saturation stays within (-0.01, 255.01), so the wrap that its missing clip allows is
    never seen; the tests show both.
    """
    return np.trunc(values).astype(np.int64).astype(np.uint8)


def _colour_saturation(bgr: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    ycbcr = _bgr_to_ycbcr(bgr)
    ycbcr[:, :, 1:] = 0.5 + (ycbcr[:, :, 1:] - 0.5) * np.float32(factor)
    return cast_without_clipping(_ycbcr_to_bgr(ycbcr))


def _colour_contrast(bgr: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return cast_without_clipping(bgr.astype(np.float32) * np.float32(factor))


def _downsample(bgr: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    height, width = bgr.shape[:2]
    small = cv2.resize(bgr, (max(1, width // int(factor)), max(1, height // int(factor))))
    return np.asarray(cv2.resize(small, (width, height)), np.uint8)


def _gaussian_noise(bgr: Pixels, variance: float, rng: np.random.Generator) -> Pixels:
    unit = _bgr_to_ycbcr(bgr) / np.float32(255)
    noisy = (unit + np.sqrt(variance) * rng.standard_normal(unit.shape)) * 255
    return np.clip(_ycbcr_to_bgr(noisy.astype(np.float32)), 0, 255).astype(np.uint8)


def _gaussian_blur(bgr: Pixels, kernel: float, rng: np.random.Generator) -> Pixels:
    return np.asarray(cv2.GaussianBlur(bgr, (int(kernel), int(kernel)), kernel / 6), np.uint8)


def _bgr_to_ycbcr(bgr: Pixels) -> _Float:
    """Studio-range YCbCr of values 0 to 255, without the shift to [0, 1] the constants were made for."""
    ycrcb = cv2.cvtColor(bgr.astype(np.float32), cv2.COLOR_BGR2YCR_CB)
    ycbcr = np.ascontiguousarray(ycrcb[:, :, (0, 2, 1)], np.float32)
    ycbcr[:, :, 0] = (ycbcr[:, :, 0] * (235 - 16) + 16) / 255.0
    ycbcr[:, :, 1:] = (ycbcr[:, :, 1:] * (240 - 16) + 16) / 255.0
    return ycbcr


def _ycbcr_to_bgr(ycbcr: _Float) -> _Float:
    ycbcr[:, :, 0] = (ycbcr[:, :, 0] * 255.0 - 16) / (235 - 16)
    ycbcr[:, :, 1:] = (ycbcr[:, :, 1:] * 255.0 - 16) / (240 - 16)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(ycbcr[:, :, (0, 2, 1)]), cv2.COLOR_YCR_CB2BGR), np.float32)


_FUNCTIONS: Final[dict[Distortion, Callable[[Pixels, float, np.random.Generator], Pixels]]] = {
    "CS": _colour_saturation,
    "CC": _colour_contrast,
    "JPEG": _downsample,
    "GNC": _gaussian_noise,
    "GB": _gaussian_blur,
}
