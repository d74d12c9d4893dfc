"""Objects in the day's mined frames, for the reviewer to see and the label model to weigh."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from streetvision_core.data.observe import boxes_of
from streetvision_core.loop.tasks.annotation import WeakSource
from streetvision_core.loop.tasks.day import Day
from streetvision_core.mining.objects import (
    OBJECTS_FILE,
    FoundBySource,
    best_score,
    load_objects,
    look,
    save_objects,
    within,
)
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.models.detectors import Detector
from streetvision_core.types import Box, Frame


def find_objects(
    day: Day,
    rows: Sequence[QueryRow],
    frames: Sequence[Frame],
    finders: Sequence[Detector] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, FoundBySource]:
    """Has every finder look at every mined frame, and the profile's detectors where the answer came before stage 2.

    Writes `objects.json`; what other finders said there on an earlier run stays.

    Args:
        day: the day.
        rows: the mined queries.
        frames: their images, same order.
        finders: segmenters and zero-shot detectors; their names are the sources.
        progress: called with frames done and frames in all.

    Returns:
        Row name to source to objects, earlier runs' included.
    """
    path = day.folder / OBJECTS_FILE
    before = load_objects(path)
    found: dict[str, FoundBySource] = {}
    for done, (row, frame) in enumerate(zip(rows, frames, strict=True), 1):
        by_detector = _logged(row) or boxes_of(frame, day.models)
        new = {name: within(boxes, frame) for name, boxes in by_detector.items()}
        new |= {finder.name: look(finder, frame) for finder in finders}
        found[row.name] = before.get(row.name, {}) | new
        if progress is not None:
            progress(done, len(rows))
    save_objects(path, found)
    return found


def weak_sources(
    rows: Sequence[QueryRow], found: Mapping[str, FoundBySource], names: Sequence[str]
) -> dict[str, WeakSource]:
    """The finders as weak sources: the best score of anything found; frames are known by the digest of their image."""
    return {name: _by_digest({row.sha256: best_score(found[row.name][name]) for row in rows}) for name in names}


def _by_digest(scores: Mapping[str, float]) -> WeakSource:
    return lambda frame: scores[frame.sha256]


def _logged(row: QueryRow) -> dict[str, tuple[Box, ...]]:
    return {name: boxes for evidence in row.verdict.evidence for name, boxes in evidence.boxes.items()}
