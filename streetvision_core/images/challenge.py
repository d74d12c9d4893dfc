"""The validators' three published image regimes, so that we train and test on what they send.

| era | until | level 0 | levels 1 to 3 |
|---|---|---|---|
| crop-224 | 2026-04-06 | centre crop, resize | rotation, random resized crop, then distortions |
| letterbox-224 | 2026-05-03 | letterbox | letterbox, rotation, then distortions; no crop |
| native | | unchanged | there are no levels |

Sources: natix/utils/image_transforms.py in natixnetwork/streetvision-subnet @128981d (crop-224) and in
ykatyhoney/streetvision-subnet @c30b9a2 (letterbox-224); natix/validator/forward.py there (native sends the image as it
is). Three quirks are kept because validators' images have them:

* Flips stand in the code and never happen: their `params` exist from the start, so the draw is skipped.
* The rotation is declared bilinear but calls `rotate(img, angle)`, whose default is nearest with black corners.
* Everything between is float in [0, 1] and is truncated, not rounded, to uint8.

Validators keep an in-painted mask's centre inside the crop; no image we make has such a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from streetvision_core.errors import SettingsError
from streetvision_core.images._distortions import Distortion, distort
from streetvision_core.images._geometry import (
    centre_square,
    draw_square_crop,
    letterbox_floor,
    resize_bilinear,
    resize_float_truncated,
    rotate_nearest,
)
from streetvision_core.types import ERAS, Era, Pixels

SIDE_PIXELS: Final = 224
MAX_ANGLE_DEGREES: Final = 20.0
CROP_SCALE: Final = (0.2, 1.0)
LEVEL_PROBABILITIES: Final = (0.25, 0.25, 0.25, 0.25)

DISTORTIONS: Final[dict[int, tuple[tuple[Distortion, int], ...]]] = {
    0: (),
    1: (),
    2: (("CS", 1), ("CC", 1), ("JPEG", 1)),
    3: (("CS", 2), ("CC", 2), ("JPEG", 2), ("GNC", 2), ("GB", 2)),
}
"""Per challenge level the distortions in order, each drawn uniformly from level 0 (nothing) to the given one."""


def augment(pixels: Pixels, era: Era, level: int, rng: np.random.Generator) -> Pixels:
    """Makes a challenge image of one era and level, before the JPEG encoding.

    Args:
        pixels: uint8 [H, W, 3] at source resolution.
        era: the image regime.
        level: 0 to 3; ignored by `native`.
        rng: the source of randomness.

    Returns:
        uint8 [224, 224, 3], or the pixels themselves for `native`.

    Raises:
        SettingsError: an unknown era or level.
    """
    if era not in _ERAS:
        raise SettingsError(f"era {era!r}", ", ".join(ERAS), "choose one of the validator's image regimes")
    if level not in DISTORTIONS:
        raise SettingsError(f"challenge level {level!r}", "0, 1, 2, 3", "choose a level, or draw one with sample()")
    return _ERAS[era](pixels, level, rng)


def draw_level(rng: np.random.Generator) -> int:
    """Draws a level as validators do: uniformly from 0 to 3."""
    return int(np.searchsorted(np.cumsum(LEVEL_PROBABILITIES), rng.random()))


def sample(pixels: Pixels, era: Era, rng: np.random.Generator) -> tuple[Pixels, int]:
    """Draws the level and augments; `native` has no levels and reports 0. Encode the result with `encode_jpeg`."""
    level = 0 if era == "native" else draw_level(rng)
    return augment(pixels, era, level, rng), level


def _crop_era(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    if level == 0:
        return resize_bilinear(np.ascontiguousarray(centre_square(pixels)), SIDE_PIXELS, SIDE_PIXELS)
    angle = rng.uniform(-MAX_ANGLE_DEGREES, MAX_ANGLE_DEGREES)
    window = draw_square_crop(pixels.shape[0], pixels.shape[1], CROP_SCALE, rng)
    # Only the window of the rotated image is computed: the same pixels at a fraction of the time.
    cropped = resize_float_truncated(rotate_nearest(pixels, angle, window), SIDE_PIXELS)
    return _distort_all(cropped, level, rng)


def _letterbox_era(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    boxed = letterbox_floor(pixels, SIDE_PIXELS)
    if level == 0:
        return boxed
    return _distort_all(rotate_nearest(boxed, rng.uniform(-MAX_ANGLE_DEGREES, MAX_ANGLE_DEGREES)), level, rng)


def _native_era(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    return pixels


def _distort_all(pixels: Pixels, level: int, rng: np.random.Generator) -> Pixels:
    for distortion, highest in DISTORTIONS[level]:
        pixels = distort(pixels, distortion, int(rng.integers(highest + 1)), rng)
    return pixels


_ERAS: Final[dict[Era, Callable[[Pixels, int, np.random.Generator], Pixels]]] = {
    "crop-224": _crop_era,
    "letterbox-224": _letterbox_era,
    "native": _native_era,
}
