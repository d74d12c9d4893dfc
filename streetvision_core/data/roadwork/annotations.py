"""ROADWork as its makers publish it: one COCO-like JSON and a folder of images (KiltHub 10.1184/R1/26093197)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from streetvision_core.data.roadwork.rows import SourceRow
from streetvision_core.errors import DataError
from streetvision_core.models.detectors.meaning import ROADWORK

LICENCE: Final = "ODC-By 1.0"


@dataclass(frozen=True, slots=True)
class NamedBox:
    """A labelled object under its maker's class name: corners in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float
    name: str


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image with its boxes.

    Attributes:
        path: the image file.
        row: what the makers say of it; road work where a box that counts as such is in it, else unknown, because the
            set is made of work zones and a scene without boxes need not be free of them.
        boxes: all of its boxes.
    """

    path: Path
    row: SourceRow
    boxes: tuple[NamedBox, ...]


def read_roadwork(annotations: Path, images: Path) -> Iterator[AnnotatedImage]:
    """Reads the JSON of one split.

    Args:
        annotations: COCO-like JSON with `images`, `annotations` and `categories`.
        images: the folder of the images.

    Raises:
        DataError: the file is not of this form, or an image is missing.
    """
    try:
        data = json.loads(annotations.read_text())
        names = {int(one["id"]): str(one["name"]) for one in data["categories"]}
        boxes: dict[int, list[NamedBox]] = defaultdict(list)
        for one in data["annotations"]:
            x, y, width, height = map(float, one["bbox"])
            boxes[int(one["image_id"])].append(NamedBox(x, y, x + width, y + height, names[int(one["category_id"])]))
        entries = [(int(one["id"]), str(one["file_name"]), one) for one in data["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _wrong(
            annotations, f"{type(error).__name__} {error}", "COCO's images, annotations and categories"
        ) from error
    for number, name, fields in entries:
        yield _image(annotations, images / name, fields, tuple(boxes[number]))


def _image(source: Path, path: Path, fields: dict[str, Any], boxes: tuple[NamedBox, ...]) -> AnnotatedImage:
    if not path.is_file():
        raise _wrong(source, f"{path.name}, which is not in {path.parent}", "the images it names")
    shows = any(ROADWORK.get(box.name) is not None for box in boxes)
    return AnnotatedImage(path, replace(SourceRow.from_fields(fields), label=1 if shows else None), boxes)


def _wrong(path: Path, got: str, allowed: str) -> DataError:
    return DataError(got=f"{path.name}: {got}", allowed=allowed, action=f"unpack {path.name} again", path=str(path))
