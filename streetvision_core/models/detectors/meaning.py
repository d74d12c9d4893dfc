"""What a detector's classes mean to us, and the refusal of detectors that know nothing of road work.

A class name counts only if it is listed here. Public weights know COCO's eighty classes; three cars are not road work
however sure a detector is of them, so such weights are refused when they are loaded, not when they are believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DetectorClassesError
from streetvision_core.models.detectors._nms import MIN_SCORE, select_boxes
from streetvision_core.types import DEVICE_CLASSES, Box, DeviceClass

ROADWORK: Final[Mapping[str, DeviceClass | None]] = {
    "Police Officer": None,
    "Police Vehicle": None,
    "Cone": "cone",
    "Fence": "barrier",
    "Drum": "drum",
    "Barricade": "barrier",
    "Barrier": "barrier",
    "Work Vehicle": "vehicle",
    "Vertical Panel": "barrier",
    "Tubular Marker": "cone",
    "Arrow Board": "sign",
    "Bike Lane": None,
    "Work Equipment": "vehicle",
    "Worker": "worker",
    "Other Roadwork Objects": None,
    "TTC Message Board": "sign",
    "TTC Sign": "sign",
}
"""The 17 classes of ROADWork (arXiv 2406.07661) and ours. Police and bike lanes are seen without road work, and what is
`other` has no shape to agree on: None, so they are trained but not counted."""

_KNOWN: Final[dict[str, DeviceClass | None]] = {
    **{name.lower(): ours for name, ours in ROADWORK.items()},
    **{str(ours): ours for ours in DEVICE_CLASSES},
    "traffic cone": "cone",
}
"""ROADWork's names, our own, and the only class of ours that Objects365 knows; in lower case."""

Meaning = tuple[DeviceClass | None, ...]
"""For each class index of a detector, our class, or None where it is not counted."""


def meaning_of(classes: Sequence[str], weights: str) -> Meaning:
    """What each class of a detector means.

    Args:
        classes: its class names, in the order of its outputs.
        weights: whose they are, for the message.

    Raises:
        DetectorClassesError: none of them is a device of road work.
    """
    meaning = tuple(_KNOWN.get(name.strip().lower()) for name in classes)
    if not any(meaning):
        shown = ", ".join(list(classes)[:5])
        raise DetectorClassesError(
            got=f"{weights}, whose {len(classes)} classes ({shown}, …) hold no cone, drum, barrier, works sign, worker "
            "or work vehicle: counting its boxes would call three parked cars road work",
            allowed="weights trained on road-work classes, e.g. the 17 of ROADWork",
            action="fine-tune it with notebooks/21_finetune_rfdetr.ipynb or 22_finetune_yolo.ipynb",
            classes=list(classes),
        )
    return meaning


def counted_boxes(
    corners: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    classes: npt.NDArray[np.int64],
    meaning: Meaning,
    width: int,
    height: int,
) -> tuple[Box, ...]:
    """The boxes that count, under our class names.

    Args:
        corners: float32 [N, 4] in pixels of the frame.
        scores: float32 [N] in [0, 1].
        classes: int64 [N], indices into `meaning`; others are no object.
        meaning: of the detector's classes.
        width: the frame's, in pixels.
        height: the frame's, in pixels.

    Returns:
        at most 50 boxes with score >= 0.05, best first.
    """
    table = np.zeros((len(scores), len(DEVICE_CLASSES)), np.float32)
    for row, index in enumerate(classes.tolist()):
        ours = meaning[index] if 0 <= index < len(meaning) else None
        if ours is not None:
            table[row, DEVICE_CLASSES.index(ours)] = scores[row]
    return select_boxes(np.asarray(corners, np.float32).reshape(-1, 4), table, width, height, MIN_SCORE)
