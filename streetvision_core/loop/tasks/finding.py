"""Objects in the day's mined frames, for the reviewer to see and the label model to weigh.

The profile's detectors look at every mined frame once: most answers in the log hold their boxes already, and the others
are looked at when the day is mined. Other finders look on request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

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
from streetvision_core.models.session import each
from streetvision_core.types import Box, BoxesByDetector, Frame

SHOWN_SCORE: Final = 0.3
"""The weaker boxes of the profile's detectors are left out: they are dozens per frame and hide what there is."""


def look_at_early_answers(
    day: Day, rows: Sequence[QueryRow], frames: Sequence[Frame]
) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Has the profile's detectors look where the answer came before stage 2 and no earlier run has looked.

    Args:
        day: the day.
        rows: the mined queries.
        frames: their images, same order.

    Returns:
        Image digest to detector to boxes.
    """
    before = load_objects(day.folder / OBJECTS_FILE)
    todo = {
        frame.sha256: frame
        for row, frame in zip(rows, frames, strict=True)
        if not _logged(row) and not _has_looked(day, before.get(row.name, {}))
    }
    made = each(lambda frame: boxes_of(frame, day.models), todo.values(), getattr(day.models.backbone, "threads", 1))
    return dict(zip(todo, made, strict=True))


def find_objects(
    day: Day,
    rows: Sequence[QueryRow],
    frames: Sequence[Frame],
    finders: Sequence[Detector] = (),
    progress: Callable[[int, int], None] | None = None,
    seen: Mapping[str, BoxesByDetector] | None = None,
) -> dict[str, FoundBySource]:
    """Puts down what the profile's detectors found in every mined frame, and has further finders look at each.

    Writes `objects.json`; what other finders said there on an earlier run stays.

    Args:
        day: the day.
        rows: the mined queries.
        frames: their images, same order.
        finders: segmenters and zero-shot detectors; their names are the sources.
        progress: called with frames done and frames in all.
        seen: from `look_at_early_answers`; None has it look.

    Returns:
        Row name to source to objects, earlier runs' included.
    """
    path = day.folder / OBJECTS_FILE
    before = load_objects(path)
    seen = look_at_early_answers(day, rows, frames) if seen is None else seen
    found: dict[str, FoundBySource] = {}
    for done, (row, frame) in enumerate(zip(rows, frames, strict=True), 1):
        by_detector = _logged(row) or seen.get(frame.sha256, {})
        new = {name: within(_sure(boxes), frame) for name, boxes in by_detector.items()}
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


def _sure(boxes: Sequence[Box]) -> list[Box]:
    return [box for box in boxes if box.score >= SHOWN_SCORE]


def _has_looked(day: Day, found: FoundBySource) -> bool:
    return all(detector.name in found for detector in day.models.detectors)


def _logged(row: QueryRow) -> dict[str, tuple[Box, ...]]:
    return {name: boxes for evidence in row.verdict.evidence for name, boxes in evidence.boxes.items()}
