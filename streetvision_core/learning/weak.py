"""Weak labels for mined frames: what each source says, what may be taken, what a person should see first."""

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

from streetvision_core.labels import Label
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


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the sources said of frames whose label a person or the renderer gave: N frames."""

    said: tuple[Mapping[str, float], ...] = ()
    labels: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()


def label_weakly(
    rows: Sequence[QueryRow],
    frames: Sequence[Frame],
    reviewed: Reviewed,
    precision: float,
    vlm: Vlm | None = None,
    more: Mapping[str, WeakSource] | None = None,
) -> WeakLabels:
    """Asks every source, weighs them by what reviews have shown, and sorts the frames.

    Args:
        rows: the mined queries.
        frames: their images, same order; only read by sources that have not answered when the query was served.
        reviewed: what teaches the label model (`load_reviewed`).
        precision: share of the labels taken without a person that must be right.
        vlm: an image-text model, asked about frames whose answer it had no part in.
        more: further sources by name, e.g. `{"llmdet": finder}`.
    """
    asked = dict(more or {})
    said = [logged_answers(row.verdict) | {name: float(ask(frame)) for name, ask in asked.items()}
            for row, frame in zip(rows, frames, strict=True)]  # fmt: skip
    if vlm is not None:
        _ask_vlm(vlm, said, frames)
    names = (*SOURCES, *asked)
    known = np.array(reviewed.labels, np.int8)
    judge = Judge.fit(as_matrix(reviewed.said, names), known, reviewed.groups, names, precision=precision)
    p = judge.posterior(as_matrix(said, names))
    accepted = judge.accepted(p)
    waiting = np.flatnonzero(~accepted).tolist()
    order = tuple(waiting[i] for i in queue(p[waiting], [rows[i].group for i in waiting]))
    return WeakLabels(tuple(rows), tuple(said), p, accepted, order, judge)


def save_weak(weak: WeakLabels, night: Path) -> None:
    """Keeps what was said (`weak.json`) and what a person should look at, most informative first (`queue.csv`)."""
    entries = [
        {"id": row.name, "image": row.sha256, "group": row.group, "said": dict(answers)}
        | {"p": round(float(v), 5), "accepted": bool(a)}
        for row, answers, v, a in zip(weak.rows, weak.said, weak.p, weak.accepted, strict=True)
    ]
    atomic_write_json(night / WEAK_FILE, {"frames": entries, "summary": weak.summary()})
    atomic_write_text(night / QUEUE_FILE, _sheet(weak))


def load_reviewed(data: Path, night: str, labels: Mapping[str, Label]) -> Reviewed:
    """What the sources said on other nights of frames that a person or the renderer has labelled since.

    A label that was taken without a person would confirm itself.

    Args:
        data: the workspace's data folder.
        night: this night, which does not count.
        labels: by sha256 (`LabelStore.labels`).
    """
    said: list[Mapping[str, float]] = []
    known: list[int] = []
    groups: list[str] = []
    for folder in sorted(path.parent for path in (data / "days").glob(f"*/{WEAK_FILE}")):
        for entry in _entries(folder) if folder.name != night else ():
            label = labels.get(entry["image"])
            if label is not None and label.label is not None and label.source in ("person", "renderer"):
                said.append(entry["said"])
                known.append(label.label)
                groups.append(entry["group"])
    return Reviewed(tuple(said), tuple(known), tuple(groups))


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
