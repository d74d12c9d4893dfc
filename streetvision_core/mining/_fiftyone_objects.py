"""What annotation found, on FiftyOne's samples. Only for the workbench's own process and the App's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import fiftyone as fo

from streetvision_core.mining._fiftyone_samples import day_view
from streetvision_core.mining.objects import FoundObject
from streetvision_core.mining.review_queue import ReviewQueue

ANNOTATED: Final = "annotated"
"""The field; each detection names its `source`, and has a mask where the source draws one."""


def show_objects(dataset: Any, queue: ReviewQueue) -> None:
    """Brings the field in line with each day's `objects.json`; no other field changes, nor a day without the file."""
    dataset.add_sample_field(ANNOTATED, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    dataset.add_sample_field(f"{ANNOTATED}.detections.source", fo.StringField)
    for day in dataset.distinct("day"):
        if found := queue.objects(day):
            view = day_view(dataset, day)
            names, sizes = view.values("name"), view.values("metadata")
            shown = [
                _detections(found[name], size) if name in found else None
                for name, size in zip(names, sizes, strict=True)
            ]
            view.set_values(ANNOTATED, shown)


def _detections(found: Mapping[str, tuple[FoundObject, ...]], size: Any) -> Any:
    made = [_detection(one, source, size) for source, objects in found.items() for one in objects]
    return fo.Detections(detections=made)


def _detection(one: FoundObject, source: str, size: Any) -> Any:
    b = one.box
    relative = [b.x0 / size.width, b.y0 / size.height, (b.x1 - b.x0) / size.width, (b.y1 - b.y0) / size.height]
    return fo.Detection(label=b.label, bounding_box=relative, confidence=b.score, mask=one.mask, source=source)
