"""Objects in mined frames, for the reviewer to see and the label model to weigh.

The profile's detectors look at every mined frame once: most answers in the log hold their boxes already, and the others
are looked at when the night mines. Other finders look on request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from streetvision_core.data.observe import boxes_of
from streetvision_core.learning.weak import WeakSource
from streetvision_core.mining.objects import FoundBySource, best_score, look, within
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.models.detectors import Detector
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.session import each
from streetvision_core.types import Box, BoxesByDetector, Frame

SHOWN_SCORE: Final = 0.3
"""The weaker boxes of the profile's detectors are left out: they are dozens per frame and hide what there is."""


FoundByRow = Mapping[str, FoundBySource]
"""Row name to source to objects, as `objects.json` holds them."""


def look_at_early_answers(
    rows: Sequence[QueryRow], frames: Sequence[Frame], models: ModelSet, before: FoundByRow
) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Has the profile's detectors look where the answer came before stage 2 and no earlier run has looked.

    Args:
        rows: the mined queries.
        frames: their images, same order.
        models: whose detectors.
        before: what an earlier run found.

    Returns:
        Image digest to detector to boxes.
    """
    names = [detector.name for detector in models.detectors]
    todo = {
        frame.sha256: frame
        for row, frame in zip(rows, frames, strict=True)
        if not _logged(row) and not all(name in before.get(row.name, {}) for name in names)
    }
    made = each(lambda frame: boxes_of(frame, models), todo.values(), getattr(models.backbone, "threads", 1))
    return dict(zip(todo, made, strict=True))


def find_objects(
    rows: Sequence[QueryRow],
    frames: Sequence[Frame],
    before: FoundByRow,
    seen: Mapping[str, BoxesByDetector],
    finders: Sequence[Detector] = (),
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, FoundBySource]:
    """What the profile's detectors found in every mined frame, and what further finders see in it.

    Args:
        rows: the mined queries.
        frames: their images, same order.
        before: what an earlier run found; what other finders said then stays.
        seen: from `look_at_early_answers`.
        finders: segmenters and zero-shot detectors; their names are the sources.
        progress: called with frames done and frames in all.

    Returns:
        Row name to source to objects, earlier runs' included; `mining.objects.save_objects` keeps them.
    """
    found: dict[str, FoundBySource] = {}
    for done, (row, frame) in enumerate(zip(rows, frames, strict=True), 1):
        by_detector = _logged(row) or seen.get(frame.sha256, {})
        new = {name: within(_sure(boxes), frame) for name, boxes in by_detector.items()}
        new |= {finder.name: look(finder, frame) for finder in finders}
        found[row.name] = before.get(row.name, {}) | new
        if progress is not None:
            progress(done, len(rows))
    return found


def boxes_in(found: FoundBySource, models: ModelSet) -> list[Box]:
    """What the profile's detectors found in a frame."""
    return [one.box for detector in models.detectors for one in found.get(detector.name, ())]


def weak_sources(
    rows: Sequence[QueryRow], found: Mapping[str, FoundBySource], names: Sequence[str]
) -> dict[str, WeakSource]:
    """The finders as weak sources: the best score of anything found; frames are known by the digest of their image."""
    return {name: _by_digest({row.sha256: best_score(found[row.name][name]) for row in rows}) for name in names}


def _by_digest(scores: Mapping[str, float]) -> WeakSource:
    return lambda frame: scores[frame.sha256]


def _sure(boxes: Sequence[Box]) -> list[Box]:
    return [box for box in boxes if box.score >= SHOWN_SCORE]


def _logged(row: QueryRow) -> dict[str, tuple[Box, ...]]:
    return {name: boxes for evidence in row.verdict.evidence for name, boxes in evidence.boxes.items()}
