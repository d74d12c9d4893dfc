"""Annotators: who says what a mined frame shows. Each record keeps who, when and why.

Three need no account and no network:

* `scene-truth`, the rendered world's exact label. It stands in for the human reviewer of the demo stream and is named
  so in every record and report; it has nothing to say about a real photo.
* `champion`, the champion's own answer, put forward for a reviewer where nothing else is known. It is a proposal: no
  label until somebody accepts it.
* `detectors`, the boxes of the detectors, as pre-annotation. It never gives a label.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image
from streetvision_core.mining._rows import QueryRow
from streetvision_core.models.detectors import Detector, match_boxes
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Box

SCENE_TRUTH: Final = "scene-truth"
CHAMPION: Final = "champion"
DETECTORS: Final = "detectors"
LABEL_MODEL: Final = "label-model"
"""Several weak sources together (`labelmodel`); its word counts only where `accept` has certified it."""
PROPOSERS: Final = frozenset({CHAMPION, LABEL_MODEL})
"""Annotators whose label counts only after a decision: to learn from one's own answers would confirm one's errors."""
_SAME_OBJECT_IOU: Final = 0.5


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one annotator said about one frame.

    Attributes:
        id: name of the query row.
        sha256: digest of the image.
        label: 1 road work, 0 none, None: this annotator gives no label.
        boxes: objects, in pixels of the image.
        annotator: who.
        annotated_at: when, ISO 8601 in UTC.
        why: why the frame was put before the annotator, e.g. the mining reasons.
        note: what the reader of the record has to know about the annotator.
    """

    id: str
    sha256: str
    label: int | None
    boxes: tuple[Box, ...]
    annotator: str
    annotated_at: str
    why: str
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        names = ("id", "sha256", "label", "annotator", "annotated_at", "why", "note")
        return {name: getattr(self, name) for name in names} | {"boxes": [box.to_dict() for box in self.boxes]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Annotation:
        """The inverse of `to_dict`."""
        return cls(**{**data, "boxes": tuple(Box.from_dict(box) for box in data["boxes"])})


class Annotator(Protocol):
    """Says what a logged frame shows."""

    @property
    def name(self) -> str:
        """The name in every record."""
        ...

    def __call__(self, row: QueryRow, image: Callable[[str], bytes], why: str, when: datetime) -> Annotation | None:
        """One record, or None where this annotator has nothing to say."""
        ...


class SceneTruthAnnotator:
    """The exact label the rendered world logged with the query; stands in for the human reviewer."""

    name = SCENE_TRUTH

    def __call__(self, row: QueryRow, image: Callable[[str], bytes], why: str, when: datetime) -> Annotation | None:
        """The logged truth; None for a query without one."""
        if row.truth is None:
            return None
        note = "exact label of the rendered world; stands in for the human reviewer"
        return Annotation(row.name, row.sha256, row.truth, (), self.name, _stamp(when), why, note)


class ChampionAnnotator:
    """The champion's answer as a proposal."""

    name = CHAMPION

    def __call__(self, row: QueryRow, image: Callable[[str], bytes], why: str, when: datetime) -> Annotation | None:
        """The answer's side of 0.5."""
        note = f"proposal of {row.verdict.model_version} (p = {row.verdict.p_roadwork:.3f}); no label until accepted"
        return Annotation(row.name, row.sha256, int(row.verdict.roadwork), (), self.name, _stamp(when), why, note)


class DetectorAnnotator:
    """Boxes as pre-annotation: those of the logged answer, or found anew where stage 2 did not run."""

    name = DETECTORS

    def __init__(self, detectors: Sequence[Detector] = ()) -> None:
        self.detectors = tuple(detectors)

    def __call__(self, row: QueryRow, image: Callable[[str], bytes], why: str, when: datetime) -> Annotation | None:
        """The boxes; None where stage 2 did not run and there is no detector at hand."""
        found = {name: boxes for e in row.verdict.evidence for name, boxes in e.boxes.items()}
        if not found and self.detectors:
            frame = decode_image(image(row.sha256), row.name)
            found = {detector.name: detector.detect([frame])[0] for detector in self.detectors}
        if not found:
            return None
        note = f"pre-annotation by {', '.join(sorted(found))}; no label"
        return Annotation(row.name, row.sha256, None, merge_boxes(found), self.name, _stamp(when), why, note)


ANNOTATORS: Final[Mapping[str, Callable[[], Annotator]]] = {
    SCENE_TRUTH: SceneTruthAnnotator,
    CHAMPION: ChampionAnnotator,
    DETECTORS: DetectorAnnotator,
}


def get_annotator(name: str) -> Annotator:
    """Makes an annotator by name.

    Raises:
        DataError: no such annotator.
    """
    if name not in ANNOTATORS:
        raise DataError(f"annotator {name!r}", ", ".join(ANNOTATORS), "choose one of them")
    return ANNOTATORS[name]()


def annotate(
    annotator: Annotator,
    rows: Sequence[QueryRow],
    image: Callable[[str], bytes],
    *,
    why: Mapping[str, str] | None = None,
    when: datetime | None = None,
) -> list[Annotation]:
    """Puts rows before an annotator.

    Args:
        annotator: who.
        rows: logged queries.
        image: gives an image's bytes by digest, e.g. `QueryLog.image`.
        why: per row name, why it was chosen.
        when: the moment of the records, now unless given.

    Returns:
        The records of the rows the annotator has something to say about.
    """
    moment = when or datetime.now(UTC)
    records = (annotator(row, image, (why or {}).get(row.name, ""), moment) for row in rows)
    return [record for record in records if record is not None]


def merge_boxes(boxes_by_detector: Mapping[str, Sequence[Box]]) -> tuple[Box, ...]:
    """Puts the boxes of several detectors together; of those that show one object the surest stays."""
    ranked = sorted((box for boxes in boxes_by_detector.values() for box in boxes), key=lambda box: -box.score)
    kept: list[Box] = []
    for box in ranked:
        if not match_boxes([box], kept, _SAME_OBJECT_IOU):
            kept.append(box)
    return tuple(kept)


def save_annotations(path: Path, annotations: Sequence[Annotation]) -> None:
    """Writes records as JSON, by replace."""
    atomic_write_json(path, [annotation.to_dict() for annotation in annotations])


def load_annotations(path: Path) -> list[Annotation]:
    """Reads what `save_annotations` wrote.

    Raises:
        DataError: the file is missing or no list of records.
    """
    try:
        return [Annotation.from_dict(record) for record in json.loads(path.read_text())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            got=f"{path.name}: {error}",
            allowed="a file written by save_annotations",
            action="annotate the day again",
            path=str(path),
        ) from error


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds")
