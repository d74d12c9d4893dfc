"""Real photos that may train: cones with YOLO boxes, German scenes with sign boxes, scenes without a device."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from streetvision_core.errors import DataError
from streetvision_core.training.detectors._samples import CLASS_INDEX, IGNORE, N_CLASSES, Sample, is_seen_group
from streetvision_core.types import Pixels

WORKS_SIGN: Final = 25
"""GTSDB's class of the road-works sign; every other class is an ordinary sign."""

_CONE_NAMES: Final = {"cone", "road-cone"}
_ORDINARY: Final = {"car", "bicycle", "plant"}


def has_photos(root: Path) -> bool:
    """Whether the street photos lie there; without them only rendered frames train and measure."""
    return (root / "labels.csv").is_file()


def read_rgb(path: Path) -> Pixels:
    """Reads a photo as uint8 RGB.

    Raises:
        DataError: the file is missing or no image.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DataError(f"unreadable {path.name}", "a JPEG or PNG photo", "check the streets folder", path=str(path))
    return np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8)


def cone_names(root: Path) -> list[str]:
    """The untidy class names of the cone photos, in the order of their label numbers."""
    lines = (root / "cones" / "data.yaml").read_text().splitlines()
    start = lines.index("names:") + 1
    names: list[str] = []
    for line in lines[start:]:
        if not line.startswith("- "):
            break
        names.append(line[2:].strip())
    return names


def cone_photos(root: Path, part: str) -> Iterator[Sample]:
    """The cone photos of one part (`train`, `valid`, `test`).

    Cones are boxed; bollards are regions to ignore; cars, bicycles and plants are no devices. What else stands in
    the photo is unknown, so only the cone class counts as known.
    """
    names = cone_names(root)
    known = np.zeros(N_CLASSES, bool)
    known[CLASS_INDEX["cone"]] = True
    for path in sorted((root / "cones" / part / "images").glob("*.jpg")):
        pixels = read_rgb(path)
        height, width = pixels.shape[:2]
        corners, labels = [], []
        for line in (root / "cones" / part / "labels" / f"{path.stem}.txt").read_text().split("\n"):
            if not line.strip():
                continue
            fields = line.split()
            name = names[int(fields[0])].lower()
            if name in _ORDINARY:
                continue
            values = np.array(fields[1:], float).reshape(-1, 2) * (width, height)
            if len(values) == 2:  # centre and size
                (cx, cy), (w, h) = values
                box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            else:  # a polygon
                box = (*values.min(0), *values.max(0))
            corners.append(box)
            labels.append(CLASS_INDEX["cone"] if name in _CONE_NAMES else IGNORE)
        yield Sample(
            pixels,
            np.array(corners, np.float32).reshape(-1, 4),
            np.array(labels, np.int64),
            known.copy(),
            f"fatima_{part}",
        )


def works_signs(root: Path) -> dict[str, list[tuple[float, float, float, float]]]:
    """Boxes of road-works signs in the German scenes, by file stem."""
    found: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for line in (root / "gtsdb" / "gt.txt").read_text().splitlines():
        name, *numbers = line.split(";")
        x0, y0, x1, y1, sign = (int(v) for v in numbers)
        if sign == WORKS_SIGN:
            found[Path(name).stem].append((x0, y0, x1, y1))
    return dict(found)


def labelled_rows(root: Path, folder: str) -> list[dict[str, str]]:
    """The rows of labels.csv whose path starts with `folder`."""
    with (root / "labels.csv").open(newline="") as handle:
        return [row for row in csv.DictReader(handle) if row["path"].startswith(folder)]


def german_negatives(root: Path, *, seen: bool = True) -> list[tuple[Path, str]]:
    """German scenes labelled `none`, as (path, group), of seen or of unseen groups."""
    rows = [r for r in labelled_rows(root, "gtsdb/") if r["label"] == "none"]
    return [(root / r["path"], r["group"]) for r in rows if is_seen_group(r["group"]) == seen]


def german_works(root: Path) -> Iterator[Sample]:
    """German scenes of seen groups with a boxed road-works sign; only the sign class is known in them."""
    signs = works_signs(root)
    known = np.zeros(N_CLASSES, bool)
    known[CLASS_INDEX["sign"]] = True
    for row in labelled_rows(root, "gtsdb/"):
        boxes = signs.get(Path(row["path"]).stem, [])
        if boxes and is_seen_group(row["group"]):
            labels = np.full(len(boxes), CLASS_INDEX["sign"], np.int64)
            yield Sample(read_rgb(root / row["path"]), np.array(boxes, np.float32), labels, known.copy(), row["group"])
