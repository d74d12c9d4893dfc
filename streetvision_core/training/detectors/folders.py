"""Folders that RF-DETR and YOLO train on, in COCO's and in YOLO's layout, made from any labelled images.

Example:
    >>> write_coco(rendered_samples(8), CLASSES, folder)        # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from streetvision_core.data.roadwork.annotations import NamedBox, read_roadwork
from streetvision_core.data.roadwork.rows import join_groups
from streetvision_core.data.scenes import render
from streetvision_core.errors import DataError
from streetvision_core.images.decode import encode_jpeg, read_image
from streetvision_core.models.detectors.meaning import ROADWORK
from streetvision_core.storage import atomic_write_bytes, atomic_write_json, atomic_write_text
from streetvision_core.types import DeviceClass, Frame

CLASSES: Final = tuple(ROADWORK)
"""The 17 classes of ROADWork, in the order detectors are trained on."""

Part = Literal["train", "valid"]
RENDERED: Final[dict[DeviceClass, str]] = {
    "cone": "Cone",
    "drum": "Drum",
    "barrier": "Barricade",
    "sign": "TTC Sign",
    "worker": "Worker",
    "vehicle": "Work Vehicle",
}
"""What the devices of the rendered world are called in ROADWork."""
_VALID_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class DetectionSample:
    """One image with named boxes, and the part of the folder it belongs to."""

    frame: Frame
    boxes: tuple[NamedBox, ...]
    part: Part


def rendered_samples(count: int, seed: int = 0, width: int = 320, height: int = 180) -> Iterator[DetectionSample]:
    """Rendered work zones: enough to see that a training runs, not to make a detector for real streets."""
    for number in range(count):
        scene = render(seed + number, roadwork=True, width=width, height=height)
        boxes = tuple(
            NamedBox(float(b.x0), float(b.y0), float(b.x1), float(b.y1), RENDERED[b.label]) for b in scene.boxes
        )
        yield DetectionSample(scene.frame, boxes, "valid" if number % 4 == 3 else "train")


def roadwork_samples(annotations: Path, images: Path, seed: int = 0) -> Iterator[DetectionSample]:
    """ROADWork's images; videos, sequences and places stand in one part only."""
    found = list(read_roadwork(annotations, images))
    groups = join_groups([one.row for one in found], "roadwork")
    for one, group in zip(found, groups, strict=True):
        draw = int(hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()[:8], 16) / 2**32
        yield DetectionSample(read_image(one.path), one.boxes, "valid" if draw < _VALID_SHARE else "train")


def write_coco(samples: Iterable[DetectionSample], classes: Sequence[str], folder: Path) -> dict[Part, int]:
    """Writes `train` and `valid`, each with its images and `_annotations.coco.json`.

    Returns:
        images by part.

    Raises:
        DataError: a part stays empty.
    """
    parts: dict[Part, dict[str, list[Any]]] = {part: {"images": [], "annotations": []} for part in ("train", "valid")}
    for number, sample in enumerate(samples):
        part, name = parts[sample.part], f"{number:06}.jpg"
        atomic_write_bytes(folder / sample.part / name, encode_jpeg(sample.frame.pixels, quality=92))
        size = {"width": sample.frame.width, "height": sample.frame.height}
        part["images"].append({"id": number, "file_name": name, **size})
        for box in _known(sample, classes):
            width, height = box.x1 - box.x0, box.y1 - box.y0
            part["annotations"].append(
                {
                    "id": len(part["annotations"]) + 1,
                    "image_id": number,
                    "category_id": classes.index(box.name) + 1,
                    "bbox": [box.x0, box.y0, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i + 1, "name": name, "supercategory": "roadwork"} for i, name in enumerate(classes)]
    for name, part in parts.items():
        atomic_write_json(folder / name / "_annotations.coco.json", {**part, "categories": categories})
    return _counted({name: len(part["images"]) for name, part in parts.items()}, folder)


def write_yolo(samples: Iterable[DetectionSample], classes: Sequence[str], folder: Path) -> dict[Part, int]:
    """Writes `images/PART`, `labels/PART` and `data.yaml`.

    Returns:
        images by part.

    Raises:
        DataError: a part stays empty.
    """
    counts: dict[Part, int] = {"train": 0, "valid": 0}
    for number, sample in enumerate(samples):
        counts[sample.part] += 1
        frame = sample.frame
        atomic_write_bytes(folder / "images" / sample.part / f"{number:06}.jpg", encode_jpeg(frame.pixels, quality=92))
        lines = [
            f"{classes.index(b.name)} {(b.x0 + b.x1) / 2 / frame.width:.6f} {(b.y0 + b.y1) / 2 / frame.height:.6f} "
            f"{(b.x1 - b.x0) / frame.width:.6f} {(b.y1 - b.y0) / frame.height:.6f}"
            for b in _known(sample, classes)
        ]
        atomic_write_text(folder / "labels" / sample.part / f"{number:06}.txt", "\n".join(lines))
    places = {"path": str(folder.resolve()), "train": "images/train", "val": "images/valid"}
    atomic_write_text(folder / "data.yaml", yaml.safe_dump({**places, "names": dict(enumerate(classes))}))
    return _counted(counts, folder)


def _known(sample: DetectionSample, classes: Sequence[str]) -> list[NamedBox]:
    return [box for box in sample.boxes if box.name in classes and box.x1 > box.x0 and box.y1 > box.y0]


def _counted(counts: dict[Part, int], folder: Path) -> dict[Part, int]:
    if not all(counts.values()):
        raise DataError(
            got=f"{counts} images for {folder.name}",
            allowed="at least one image to train on and one to validate on, of other groups",
            action="give more images, or another seed of the parts",
        )
    return counts
