"""Failure modes told from an image and its boxes by simple rules, each with measured precision and recall.

`docs/benchmarks/modes.json` holds the numbers, measured on the rendered world's exact tags by
`python tests/perf/bench_modes.py`. What a simple rule cannot tell is not tagged here: `NOT_TOLD` needs the image-text
model, which `asking` asks where a profile has one, or a reviewer.

Example:
    >>> sorted(tag(np.zeros((90, 160, 3), np.uint8)))
    ['night']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from streetvision_core.mining._statistics import ImageStatistics, measure
from streetvision_core.types import Box, DeviceClass, Era, FailureMode, Frame, Pixels

__all__ = [
    "IMAGE_RULES",
    "NOT_TOLD",
    "RELIABLE_IMAGE_RULES",
    "TOLD",
    "ImageStatistics",
    "measure",
    "nearest_meters",
    "tag",
]

NIGHT_SKY: Final = 0.17
FOG_HAZE: Final = 0.70
GLARE_CLIPPED: Final = 0.017
"""Chosen on rendered seeds 0 to 1,699; measured on others."""
WET_MIRRORED: Final = 0.35
WET_SATURATION: Final = 0.19
"""Chosen on free rendered seeds 150,000 to 150,499; measured on others."""

FAR_METERS: Final = 35.0
SMALL_SHARE: Final = 0.0015
"""The rendered world's own definitions of `far` and `small`."""
COUNTED_SCORE: Final = 0.4
APPARENT_METERS: Final[Mapping[DeviceClass, float]] = MappingProxyType(
    {"cone": 0.67, "drum": 0.77, "barrier": 0.98, "sign": 0.78, "worker": 1.23, "vehicle": 2.24}
)
"""Distance times box height over image width, the median of each class in the rendered world. It stands for the true
height times the lens's focal length in image widths (0.6 to 1.0 there); another lens scales all distances alike."""

IMAGE_RULES: Final[Mapping[FailureMode, Callable[[ImageStatistics], bool]]] = MappingProxyType(
    {
        "night": lambda s: s.sky < NIGHT_SKY,
        "fog": lambda s: s.sky >= NIGHT_SKY and s.haze > FOG_HAZE,
        "glare": lambda s: s.sky >= NIGHT_SKY and s.clipped > GLARE_CLIPPED,
        "rain": lambda s: s.sky >= NIGHT_SKY and s.mirrored > WET_MIRRORED and s.saturation < WET_SATURATION,
    }
)
RELIABLE_IMAGE_RULES: Final[Mapping[Era, frozenset[FailureMode]]] = MappingProxyType(
    {
        "native": frozenset(IMAGE_RULES),
        "crop-224": frozenset({"night", "glare"}),
        "letterbox-224": frozenset({"glare"}),
    }
)
"""Where crops, rotations, black corners and distortions leave a rule less than 70 % precision, it is not used."""

BOX_RULES: Final[Mapping[FailureMode, Callable[[Sequence[Box], int, int], bool]]] = MappingProxyType(
    {
        "far": lambda boxes, width, height: nearest_meters(boxes, width) > FAR_METERS,
        "small": lambda boxes, width, height: max(b.area_pixels for b in boxes) < SMALL_SHARE * width * height,
    }
)
TOLD: Final[tuple[FailureMode, ...]] = (*IMAGE_RULES, *BOX_RULES)
NOT_TOLD: Final[Mapping[FailureMode, str]] = MappingProxyType(
    {
        "occlusion": "a box shows what is seen, not what is covered; see occlusion_tried in modes.json",
        "unusual": "says that something has not been seen before, which no measure of one image can tell, and the "
        "rendered world has nothing unusual to judge a rule by",
    }
)


def tag(image: Frame | Pixels, boxes: Sequence[Box] = (), era: Era = "native") -> frozenset[FailureMode]:
    """The failure modes that hold for an image, as far as they can be told.

    Args:
        image: a frame, or uint8 [H, W, 3] RGB.
        boxes: objects in pixels of the image, labelled or detected; those of score below 0.4 do not count. Without
            any, `far` and `small` are never told; nor are they outside the native era, whose crops change the scale.
        era: the image regime; not every rule is used in every era.
    """
    pixels = image.pixels if isinstance(image, Frame) else image
    statistics = measure(pixels)
    found = {mode for mode in RELIABLE_IMAGE_RULES[era] if IMAGE_RULES[mode](statistics)}
    counted = [box for box in boxes if box.score >= COUNTED_SCORE]
    if counted and era == "native":
        height, width = pixels.shape[:2]
        found |= {mode for mode, rule in BOX_RULES.items() if rule(counted, width, height)}
    return frozenset(found)


def nearest_meters(boxes: Sequence[Box], width_pixels: int) -> float:
    """Rough distance of the nearest box from its height, as a pinhole camera sees it; infinite without boxes."""
    sizes = [(APPARENT_METERS[b.label], max(b.y1 - b.y0, 1e-6) / width_pixels) for b in boxes]
    return min((meters / share for meters, share in sizes), default=float(np.inf))
