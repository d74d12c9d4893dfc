"""The reviewer's decisions: read and written as CSV, stored in one file per day, and applied idempotently.

A decision refers to what the annotator said, never to what an earlier decision made of it. Applying a file twice, or
two files in either order, therefore gives the same labels; of two decisions about one frame the later one holds.
`decisions.csv` of a day is the one store: the App, the command line and the loop write to it with `record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streetvision_core.errors import DataError
from streetvision_core.mining._decisions import BY, CHOICES, By, Choice, Decision, latest, tags_of
from streetvision_core.mining._sheet import COLUMNS, export_csv, import_csv, record
from streetvision_core.mining.annotate import PROPOSERS, Annotation

__all__ = [
    "BY",
    "CHOICES",
    "COLUMNS",
    "By",
    "Choice",
    "Decision",
    "ReviewedLabel",
    "apply",
    "export_csv",
    "import_csv",
    "latest",
    "record",
    "tags_of",
]

_CHOSEN_LABEL: Final[Mapping[Choice, Callable[[int], int | None]]] = {
    "accept": lambda label: label,
    "flip": lambda label: 1 - label,
    "set-aside": lambda label: None,
}


@dataclass(frozen=True, slots=True)
class ReviewedLabel:
    """The label a frame ends up with; None where it was set aside, or only proposed and not yet decided.

    `decision` is None where no reviewer has looked: the annotator's label then stands, unless it was a proposal.
    """

    id: str
    sha256: str
    label: int | None
    annotation: Annotation
    decision: Decision | None


def apply(annotations: Sequence[Annotation], decisions: Iterable[Decision]) -> list[ReviewedLabel]:
    """Gives every labelled annotation its final label.

    Args:
        annotations: records with a label; those without one are skipped.
        decisions: in any order, repetitions allowed.

    Raises:
        DataError: a decision about a frame that is not among the annotations, or contradicting decisions.
    """
    made = list(decisions)
    held = latest(made)
    labelled = [a for a in annotations if a.label is not None]
    if unknown := sorted({d.id for d in made} - {a.id for a in labelled}):
        raise DataError(
            got=f"decisions about {', '.join(unknown[:5])}",
            allowed="frames that were annotated",
            action="review the sheet of the same day",
            ids=unknown,
        )
    return [_apply(a, held.get(a.id)) for a in labelled]


def _apply(annotation: Annotation, decision: Decision | None) -> ReviewedLabel:
    label = annotation.label
    if decision is None:
        label = None if annotation.annotator in PROPOSERS else label
    elif label is not None:
        label = _CHOSEN_LABEL[decision.choice](label)
    return ReviewedLabel(annotation.id, annotation.sha256, label, annotation, decision)
