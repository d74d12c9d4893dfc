"""Weak labels for the day's mined frames: what each source says, what may be taken, what a person should see first."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.loop.tasks.day import Day
from streetvision_core.mining.accept import Judge, queue
from streetvision_core.mining.annotate import LABEL_MODEL, Annotation, load_annotations
from streetvision_core.mining.asking import label_answers
from streetvision_core.mining.labelmodel import as_matrix
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.mining.review_queue import ANNOTATIONS_FILE
from streetvision_core.mining.sources import SOURCES, VLM, logged_answers
from streetvision_core.models.vlm import Vlm
from streetvision_core.storage import atomic_write_json, atomic_write_text
from streetvision_core.types import Frame

WEAK_FILE: Final = "weak.json"
QUEUE_FILE: Final = "queue.csv"

WeakSource = Callable[[Frame], float]
"""Any model that gives P(road work) of a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class WeakLabels:
    """What the sources together say of the mined frames.

    Attributes:
        rows: the frames.
        said: per frame, source to P(road work).
        p: float64 [N], posterior of the label model; 0.5 before anything has been reviewed.
        accepted: bool [N], whether the label is taken without a person.
        order: row numbers in the order a person should see the frames that are not taken.
        judge: label model and certificate.
    """

    rows: tuple[QueryRow, ...]
    said: tuple[Mapping[str, float], ...]
    p: npt.NDArray[np.float64]
    accepted: npt.NDArray[np.bool_]
    order: tuple[int, ...]
    judge: Judge

    def summary(self) -> dict[str, Any]:
        """A JSON-ready form."""
        model, band = self.judge.model, self.judge.band
        return {
            "frames": len(self.rows),
            "accepted": int(self.accepted.sum()),
            "queued": len(self.order),
            "reviewed_before": self.judge.labelled,
            "certificate": band.reason,
            "precision": round(1 - band.alpha, 4),
            "sources": [quality.to_dict() for quality in model.qualities] if model else [],
        }


def weak_labels(
    day: Day,
    rows: Sequence[QueryRow],
    frames: Sequence[Frame],
    more: Mapping[str, WeakSource] | None = None,
) -> WeakLabels:
    """Asks every source, weighs them by what earlier days' reviews have shown, and sorts the frames.

    The profile's image-text model, where there is one, is asked about frames whose answer it had no part in.

    Writes `weak.json` (what was said) and `queue.csv` (what a person should look at, most informative first).

    Args:
        day: the day; only labels of earlier days teach the label model.
        rows: the mined queries.
        frames: their images, same order; only read by sources that have not answered when the query was served.
        more: further sources by name, e.g. `{"llmdet": finder}`.
    """
    asked = dict(more or {})
    said = [logged_answers(row.verdict) | {name: float(ask(frame)) for name, ask in asked.items()}
            for row, frame in zip(rows, frames, strict=True)]  # fmt: skip
    if day.models.vlm is not None:
        _ask_vlm(day.models.vlm, said, frames)
    judge = _judge(day, (*SOURCES, *asked))
    p = judge.posterior(as_matrix(said, (*SOURCES, *asked)))
    accepted = judge.accepted(p)
    waiting = np.flatnonzero(~accepted).tolist()
    order = tuple(waiting[i] for i in queue(p[waiting], [rows[i].group for i in waiting]))
    weak = WeakLabels(tuple(rows), tuple(said), p, accepted, order, judge)
    entries = [
        {"id": row.name, "image": row.sha256, "group": row.group, "said": answers}
        | {"p": round(float(v), 5), "accepted": bool(a)}
        for row, answers, v, a in zip(rows, said, p, accepted, strict=True)
    ]
    atomic_write_json(day.folder / WEAK_FILE, {"frames": entries, "summary": weak.summary()})
    atomic_write_text(day.folder / QUEUE_FILE, _sheet(weak))
    return weak


def weak_summary(day: Day) -> dict[str, Any]:
    """What `weak_labels` found on the day, from `weak.json`."""
    summary: dict[str, Any] = json.loads((day.folder / WEAK_FILE).read_text())["summary"]
    return summary


def proposals(weak: WeakLabels, why: Mapping[str, str], when: datetime | None = None) -> list[Annotation]:
    """The label model's word on every frame, as annotations; the note says whether it is taken without a person."""
    stamp = (when or datetime.now(UTC)).isoformat(timespec="seconds")
    made = []
    for row, p, accepted in zip(weak.rows, weak.p.tolist(), weak.accepted.tolist(), strict=True):
        state = "taken: certified" if accepted else "proposed only: waits for a person"
        note = f"p = {p:.3f}; {state}"
        made.append(Annotation(row.name, row.sha256, int(p > 0.5), (), LABEL_MODEL, stamp, why.get(row.name, ""), note))
    return made


def _ask_vlm(vlm: Vlm, said: Sequence[dict[str, float]], frames: Sequence[Frame]) -> None:
    """Adds the model's answer where the cascade had no need to ask it."""
    silent = [i for i, answers in enumerate(said) if VLM not in answers]
    for i, p in zip(silent, label_answers(vlm, [frames[i] for i in silent]), strict=True):
        if p is not None:
            said[i][VLM] = p


def _judge(day: Day, sources: Sequence[str]) -> Judge:
    """Fitted on earlier days' frames whose label a person or the renderer gave; a taken label would confirm itself."""
    labels = day.review.store.labels()
    said: list[Mapping[str, float]] = []
    known: list[int] = []
    groups: list[str] = []
    for folder in sorted((day.workspace.data / "days").glob("????-??-??")):
        for entry in _entries(folder) if folder.name < day.date.isoformat() else ():
            label = labels.get(entry["image"])
            if label is not None and label.label is not None and label.source in ("person", "renderer"):
                said.append(entry["said"])
                known.append(label.label)
                groups.append(entry["group"])
    matrix = as_matrix(said, sources)
    return Judge.fit(
        matrix, np.array(known, np.int8), groups, sources, precision=day.settings.annotate.precision
    )  # fmt: skip


def _entries(folder: Path) -> list[dict[str, Any]]:
    """What sources said on a day; days before the label store named no image, their annotations do."""
    path = folder / WEAK_FILE
    entries: list[dict[str, Any]] = json.loads(path.read_text())["frames"] if path.exists() else []
    if all("image" in entry for entry in entries):
        return entries
    shown = folder / ANNOTATIONS_FILE
    images = {a.id: a.sha256 for a in load_annotations(shown)} if shown.exists() else {}
    return [{**entry, "image": images[entry["id"]]} for entry in entries if entry["id"] in images]


def _sheet(weak: WeakLabels) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = sorted({name for said in weak.said for name in said})
    writer.writerow(("id", "sha256", "p", *names))
    for i in weak.order:
        row, said = weak.rows[i], weak.said[i]
        answers = (f"{said[name]:.3f}" if name in said else "" for name in names)
        writer.writerow((row.name, row.sha256, f"{weak.p[i]:.4f}", *answers))
    return text.getvalue()
