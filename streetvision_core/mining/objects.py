"""What annotation found in the day's frames: boxes, and masks where the finder draws them, each with its source.

One file per day, `objects.json`: frame, then source, then objects. The workbench shows it as the field `annotated`.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from streetvision_core.errors import DataError
from streetvision_core.models.detectors import Detector
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Box, Frame

if TYPE_CHECKING:
    from streetvision_core.models.concepts import Region

OBJECTS_FILE: Final = "objects.json"


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One object in one frame.

    Attributes:
        box: where, within the frame; of whole pixels where there is a mask.
        mask_png: a PNG of one bit per pixel, as large as the box, set where the object is; empty: no mask.
    """

    box: Box
    mask_png: bytes = b""

    @property
    def mask(self) -> npt.NDArray[np.bool_] | None:
        """Which of the box's pixels show it, bool [h, w]; None where the finder draws no masks."""
        if not self.mask_png:
            return None
        with Image.open(io.BytesIO(self.mask_png)) as image:
            return np.asarray(image, np.bool_)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**self.box.to_dict(), "mask": base64.b64encode(self.mask_png).decode()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FoundObject:
        """The inverse of `to_dict`."""
        return cls(Box.from_dict(data), base64.b64decode(data["mask"], validate=True))


FoundBySource = dict[str, tuple[FoundObject, ...]]
"""Of one frame: source to its objects, none where it looked and found nothing."""


@runtime_checkable
class Segmenter(Protocol):
    """A detector that draws masks too."""

    def segment(self, frame: Frame) -> list[Region]:
        """All objects with their masks, best first."""
        ...


def look(finder: Detector, frame: Frame) -> tuple[FoundObject, ...]:
    """What a detector or segmenter finds in a frame, best first; what lies outside the frame is left out."""
    if isinstance(finder, Segmenter):
        return tuple(made for r in finder.segment(frame) if (made := _cropped(r.box, r.mask)) is not None)
    return within(finder.detect([frame])[0], frame)


def within(boxes: Sequence[Box], frame: Frame) -> tuple[FoundObject, ...]:
    """Boxes as objects without masks, cut to the frame."""
    cut = (_cut(box, frame.width, frame.height) for box in boxes)
    return tuple(FoundObject(box) for box in cut if box.area_pixels > 0)


def best_score(found: Sequence[FoundObject]) -> float:
    """The surest object's score; 0 where nothing was found."""
    return max((one.box.score for one in found), default=0.0)


def save_objects(path: Path, found: Mapping[str, FoundBySource]) -> None:
    """Writes objects by frame and source, by replace."""
    plain = {
        name: {source: [one.to_dict() for one in objects] for source, objects in by_source.items()}
        for name, by_source in found.items()
    }
    atomic_write_json(path, plain)


def load_objects(path: Path) -> dict[str, FoundBySource]:
    """Reads what `save_objects` wrote; nothing where there is no file.

    Raises:
        DataError: the file is not of that form.
    """
    if not path.exists():
        return {}
    try:
        return {
            name: {source: tuple(map(FoundObject.from_dict, objects)) for source, objects in by_source.items()}
            for name, by_source in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            got=f"{path.name}: {type(error).__name__}: {error}",
            allowed="a file written by save_objects",
            action=f"delete it and run: streetvision annotate --day {path.parent.name}",
            path=str(path),
        ) from error


def _cropped(box: Box, mask: npt.NDArray[np.bool_]) -> FoundObject | None:
    """The object with its mask cut to its box, the box widened to whole pixels so that the two fit exactly."""
    height, width = mask.shape
    corners = (math.floor(box.x0), math.floor(box.y0), math.ceil(box.x1), math.ceil(box.y1))
    whole = _cut(Box(*corners, box.label, box.score), width, height)
    if whole.area_pixels == 0:
        return None
    buffer = io.BytesIO()
    Image.fromarray(mask[int(whole.y0) : int(whole.y1), int(whole.x0) : int(whole.x1)]).save(buffer, "PNG")
    return FoundObject(whole, buffer.getvalue())


def _cut(box: Box, width: int, height: int) -> Box:
    x0, x1 = (min(max(x, 0.0), width) for x in (box.x0, box.x1))
    y0, y1 = (min(max(y, 0.0), height) for y in (box.y0, box.y1))
    return Box(x0, y0, x1, y1, box.label, box.score)
