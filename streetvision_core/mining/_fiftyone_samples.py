"""Our frames as FiftyOne samples. Imports fiftyone: only for the workbench's own process, after its database runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import numpy.typing as npt
from PIL import Image

from streetvision_core.mining._scores import logits_of
from streetvision_core.mining._workbench_job import WorkbenchJob, WorkbenchSample

CLASSES = ("none", "roadwork")
EMBEDDING = "embedding"


def open_dataset(project: str) -> Any:
    """The project's persistent dataset, made if absent."""
    if fo.dataset_exists(project):
        return fo.load_dataset(project)
    return fo.Dataset(project, persistent=True)


def replace_day(dataset: Any, job: WorkbenchJob) -> list[str]:
    """Puts the day's samples in, in place of those of an earlier run; returns the days dropped beyond `keep_days`."""
    dropped: list[str] = []
    if dataset.has_sample_field("day"):
        days = sorted(set(dataset.distinct("day")) | {job.day})
        dropped = days[: -job.keep_days]
        dataset.delete_samples(dataset.match(fo.ViewField("day").is_in([job.day, *dropped])))
    _declare_fields(dataset)
    samples = [to_sample(sample, row) for sample, row in zip(job.samples, job.embeddings, strict=True)]
    dataset.add_samples(samples, dynamic=True)
    return dropped


def _declare_fields(dataset: Any) -> None:
    """Fields that samples may leave empty, so that views and the App know them; those there already stay."""
    scores = ("hardness", "mistakenness", "uniqueness", "label_quality")
    for name in (*scores, "cascade_hardness", "detector_disagreement", "stage_disagreement"):
        dataset.add_sample_field(name, fo.FloatField)
    for name in ("wrong", "suspect", "certified"):
        dataset.add_sample_field(name, fo.BooleanField)
    for name in ("split", "review", "annotator", "why", "reviewer", "decided_at", "decided_by", "reason"):
        dataset.add_sample_field(name, fo.StringField)
    for name in ("modes", "reasons", "reviewed_modes", "text"):
        dataset.add_sample_field(name, fo.ListField, subfield=fo.StringField)
    for name in ("prediction", "truth"):
        dataset.add_sample_field(name, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)


def day_view(dataset: Any, day: str) -> Any:
    """The samples of one day."""
    return dataset.match(fo.ViewField("day") == day)


def to_sample(sample: WorkbenchSample, embedding: npt.NDArray[np.float32]) -> Any:
    """One FiftyOne sample."""
    label = sample.label if sample.label is not None else sample.truth
    made = fo.Sample(
        filepath=sample.filepath,
        metadata=_metadata(Path(sample.filepath)),
        tags=["mined"] if sample.reasons else [],
        name=sample.name,
        day=sample.day,
        era=sample.era,
        group=sample.group,
        origin=sample.origin,
        modes=list(sample.modes),
        reasons=list(sample.reasons),
        split=sample.split or None,
        cascade_hardness=sample.hardness,
        detector_disagreement=sample.components.get("detector_disagreement"),
        stage_disagreement=sample.components.get("stage_disagreement"),
        annotator=sample.annotator,
        label_quality=sample.label_quality,
        suspect=sample.suspect,
        prediction=_prediction(sample.p_roadwork),
        truth=_classification(label),
        exit_stage=sample.verdict["exit_stage"],
        certified=sample.verdict["certified"],
        model_version=sample.verdict["model_version"],
        policy=sample.verdict["policy"],
        evidence=_evidence(sample.verdict["evidence"]),
        text=[text for stage in sample.verdict["evidence"] for text in stage["text"]],
    )
    made[EMBEDDING] = np.asarray(embedding, np.float32)
    return made


def _prediction(p: float) -> Any:
    """The answer with logits (0, log-odds): FiftyOne's hardness is the entropy of their softmax, that is of p."""
    return fo.Classification(label=CLASSES[p > 0.5], confidence=max(p, 1.0 - p), logits=logits_of(np.array([p]))[0])


def _classification(label: int | None) -> Any:
    return None if label is None else fo.Classification(label=CLASSES[label])


def _evidence(stages: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """All scores by name; a dot would read as a path in the database."""
    return {_field(name): value for stage in stages for name, value in stage["scores"].items()}


def _metadata(path: Path) -> Any:
    with Image.open(path) as image:
        width, height = image.size
        kind = Image.MIME.get(image.format or "", "image/jpeg")
    size = path.stat().st_size
    return fo.ImageMetadata(size_bytes=size, mime_type=kind, width=width, height=height, num_channels=3)


def _field(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
