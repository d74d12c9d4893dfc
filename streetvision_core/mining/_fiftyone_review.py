"""What the label store holds, on FiftyOne's samples. Only for the workbench's own process and the App's."""

from __future__ import annotations

from typing import Any, Final

import fiftyone as fo

from streetvision_core.mining._fiftyone_brain import score_labels
from streetvision_core.mining._fiftyone_samples import CLASSES, day_view
from streetvision_core.mining._fiftyone_views import OPEN
from streetvision_core.mining.review_queue import Reviewed, ReviewQueue

FIELDS: Final = ("review", "annotator", "why", "reviewer", "decided_at", "decided_by", "reason")


def show_decisions(dataset: Any, queue: ReviewQueue) -> None:
    """Brings every sample in line with the store, whoever decided in the meantime."""
    reviewed = {frame.shown.id: frame for day in queue.days() for frame in queue.frames(day)}
    for day in dataset.distinct("day"):
        view = day_view(dataset, day)
        frames = [reviewed.get(name) for name in view.values("name")]
        for number, field in enumerate(FIELDS):
            view.set_values(field, [_values(frame)[number] if frame else None for frame in frames])
        view.set_values("reviewed_modes", [list(frame.tags) if frame else [] for frame in frames])
        view.set_values("truth", [_truth(frame) for frame in frames])
        score_labels(view)


def show_decision(sample: Any, frame: Reviewed) -> None:
    """The same for one sample, after one decision."""
    for field, value in zip(FIELDS, _values(frame), strict=True):
        sample[field] = value
    sample["reviewed_modes"] = list(frame.tags)
    sample["truth"] = _truth(frame)
    sample.save()
    score_labels(sample._dataset.select(sample.id))


def _values(frame: Reviewed) -> tuple[str, ...]:
    shown, d = frame.shown, frame.decision
    if d is None:
        return (OPEN, shown.annotator, shown.why, "", "", "", "")
    return (frame.choice or OPEN, shown.annotator, shown.why, d.who, d.when.isoformat(), d.source, d.why)


def _truth(frame: Reviewed | None) -> Any:
    label = frame.label if frame is not None else None
    return None if label is None or label.label is None else fo.Classification(label=CLASSES[label.label])
