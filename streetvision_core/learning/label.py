"""Labels for mined frames: the renderer's truth, what is certified, and proposals for the rest, which people decide.

Nothing here becomes a label by itself: `record_labels` puts decisions into the label store, and what holds is what the
store answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from streetvision_core.labels import Decision, Label, LabelStore, Source
from streetvision_core.labels.values import resolve_labels
from streetvision_core.learning.finding import FoundByRow, boxes_in
from streetvision_core.learning.mine import Mined
from streetvision_core.learning.weak import WeakLabels, proposals
from streetvision_core.mining import annotate
from streetvision_core.mining.asking import asked_modes
from streetvision_core.mining.modes import tag
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.mining.review_queue import ANNOTATIONS_FILE
from streetvision_core.models.factory import ModelSet
from streetvision_core.types import FAILURE_MODES, Box, FailureMode, Frame

_KINDS: Final[Mapping[str, Source]] = {annotate.SCENE_TRUTH: "renderer", annotate.LABEL_MODEL: "machine"}


@dataclass(frozen=True, slots=True)
class Annotated:
    """What is put before the reviewer, and what needs none.

    Attributes:
        shown: one record per frame: the renderer's truth, a certified label, or a proposal.
        decisions: of the renderer and the certified label model.
    """

    shown: tuple[annotate.Annotation, ...]
    decisions: tuple[Decision, ...]


def label(mined: Mined, weak: WeakLabels, image: Callable[[str], bytes]) -> Annotated:
    """What is known of each mined frame, and what a program may decide.

    Args:
        mined: the frames.
        weak: what the sources say of them.
        image: an image's bytes by digest (`QueryLog.image`).
    """
    why = {item.id: ", ".join(item.reasons) for item in mined.chosen.items}
    certified = {row.name for row, accepted in zip(mined.rows, weak.accepted, strict=True) if accepted}
    guesses = {a.id: a for a in proposals(weak, why) if a.id in certified}
    known = _annotate(mined.rows, image, why)
    shown = tuple(guesses.get(a.id, a) if a.annotator in annotate.PROPOSERS else a for a in known)
    decisions = tuple(
        Decision(a.sha256, a.label, _KINDS[a.annotator], a.annotator, datetime.now(UTC), a.note, query=a.id)
        for a in shown
        if a.annotator == annotate.SCENE_TRUTH or a.id in certified
    )
    return Annotated(shown, decisions)


def labels_with(annotated: Annotated, decisions: Iterable[Decision]) -> dict[str, Label]:
    """The labels that hold, by sha256, once what is annotated joins the decisions there are."""
    return resolve_labels([*decisions, *annotated.decisions])


def record_labels(annotated: Annotated, store: LabelStore) -> None:
    """Puts the programs' decisions into the label store, and withdraws what is certified no longer."""
    store.record_decisions(annotated.decisions)
    gone = {a.sha256 for a in annotated.shown} - {decision.image for decision in annotated.decisions}
    store.withdraw(gone, annotate.LABEL_MODEL, datetime.now(UTC))


def save_annotated(annotated: Annotated, night: Path) -> None:
    """Keeps what is shown to reviewers in the night's folder."""
    annotate.save_annotations(night / ANNOTATIONS_FILE, annotated.shown)


def find_modes(
    mined: Mined, frames: Sequence[Frame], objects: FoundByRow, labels: Mapping[str, Label], models: ModelSet
) -> Mined:
    """The same frames with their failure modes: the log's, else the rules', and what models and reviewers added."""
    asked = _asked(mined.rows, frames, models)
    modes = []
    for row, frame, said in zip(mined.rows, frames, asked, strict=True):
        tags = labels[row.sha256].tags if row.sha256 in labels else frozenset()
        modes.append(_modes(row, frame, boxes_in(objects[row.name], models), said | tags))
    return replace(mined, modes=tuple(modes))


def _annotate(
    rows: Sequence[QueryRow], image: Callable[[str], bytes], why: Mapping[str, str]
) -> list[annotate.Annotation]:
    """The renderer's truth of each row, else the serving version's answer as a proposal."""
    found: list[annotate.Annotation] = []
    for name in (annotate.SCENE_TRUTH, annotate.CHAMPION):
        known = {a.id for a in found}
        open_rows = [row for row in rows if row.name not in known]
        found += annotate.annotate(annotate.get_annotator(name), open_rows, image, why=why)
    place = {row.name: i for i, row in enumerate(rows)}
    return sorted(found, key=lambda a: place[a.id])


def _asked(rows: Sequence[QueryRow], frames: Sequence[Frame], models: ModelSet) -> list[frozenset[str]]:
    """What the profile's image-text model, if it has one, says of frames whose modes the log does not know."""
    unknown = [i for i, row in enumerate(rows) if not row.modes] if models.vlm is not None else []
    found: list[frozenset[str]] = [frozenset()] * len(rows)
    if models.vlm is not None and unknown:
        for i, modes in zip(unknown, asked_modes(models.vlm, [frames[i] for i in unknown]), strict=True):
            found[i] = frozenset(modes)
    return found


def _modes(row: QueryRow, frame: Frame, boxes: list[Box], tags: frozenset[str]) -> tuple[FailureMode, ...]:
    known = row.modes or tuple(sorted(tag(frame, boxes, row.era)))
    return (*known, *(mode for mode in FAILURE_MODES if mode in tags and mode not in known))
