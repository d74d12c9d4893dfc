"""What a scene gives: a frame with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streetvision_core.data.scenes._view import Sighting, min_height
from streetvision_core.types import Box, FailureMode, Frame

FAR_METERS: Final = 35.0
SMALL_SHARE: Final = 0.0015
OCCLUDED_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class SceneFrame:
    """One rendered frame and everything that is known about it.

    Attributes:
        frame: the pixels.
        label: 1 exactly when a work-zone device is seen, that is when there is a box.
        boxes: the visible extent of every device seen, in pixels.
        distances_meters: from the camera, one per box.
        modes: failure modes that hold for this frame.
        group: frames of one group are not independent.
    """

    frame: Frame
    label: int
    boxes: tuple[Box, ...]
    distances_meters: tuple[float, ...]
    modes: frozenset[FailureMode]
    group: str


def device_modes(sightings: Sequence[Sighting], width: int, height: int) -> frozenset[FailureMode]:
    """The failure modes that follow from where the devices are and what covers them.

    far: the nearest device seen is over 35 m away. small: the largest box is below 0.15 % of the picture.
    occlusion: of the devices large enough to be seen, less than 60 % of the surface is, on average.
    """
    seen = [s for s in sightings if s.box is not None]
    if not seen:
        return frozenset()
    modes: set[FailureMode] = set()
    if min(s.meters for s in seen) > FAR_METERS:
        modes.add("far")
    if max(s.box.area_pixels for s in seen if s.box) < SMALL_SHARE * width * height:
        modes.add("small")
    large = [s.visible for s in sightings if s.full_height >= min_height(height) and s.visible > 0]
    if large and sum(large) / len(large) < OCCLUDED_SHARE:
        modes.add("occlusion")
    return frozenset(modes)
