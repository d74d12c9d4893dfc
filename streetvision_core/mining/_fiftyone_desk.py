"""The desk's decisions on FiftyOne's samples. Only for the workbench's own process and the App's."""

from __future__ import annotations

from typing import Any, Final

import fiftyone as fo

from streetvision_core.mining._fiftyone_brain import score_labels
from streetvision_core.mining._fiftyone_samples import CLASSES, day_view
from streetvision_core.mining._fiftyone_views import OPEN
from streetvision_core.mining.desk import ReviewDesk
from streetvision_core.mining.review import ReviewedLabel, tags_of

FIELDS: Final = ("review", "annotator", "why", "reviewer", "decided_at", "decided_by", "reason")


def show_decisions(dataset: Any, desk: ReviewDesk) -> None:
    """Brings every sample in line with the desk, whoever decided there in the meantime."""
    for day in set(dataset.distinct("day")) & set(desk.days()):
        labels, tags = desk.labels(day), tags_of(desk.decisions(day))
        view = day_view(dataset, day)
        names = view.values("name")
        known = [labels.get(name) for name in names]
        for number, field in enumerate(FIELDS):
            view.set_values(field, [_told(label)[number] if label else None for label in known])
        view.set_values("reviewed_modes", [sorted(tags.get(name, ())) for name in names])
        view.set_values("truth", [_truth(label) for label in known])
        score_labels(view)


def show_decision(sample: Any, label: ReviewedLabel, tags: frozenset[str]) -> None:
    """The same for one sample, after one decision."""
    for field, value in zip(FIELDS, _told(label), strict=True):
        sample[field] = value
    sample["reviewed_modes"] = sorted(tags)
    sample["truth"] = _truth(label)
    sample.save()
    score_labels(sample._dataset.select(sample.id))


def _told(label: ReviewedLabel) -> tuple[str, ...]:
    said, d = label.annotation, label.decision
    if d is None:
        return (OPEN, said.annotator, said.why, "", "", "", "")
    return (d.choice, said.annotator, said.why, d.reviewer, d.decided_at, d.decided_by, d.reason)


def _truth(label: ReviewedLabel | None) -> Any:
    return None if label is None or label.label is None else fo.Classification(label=CLASSES[label.label])
