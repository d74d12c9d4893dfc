"""The reviewer's decisions: written and read as CSV, so that a spreadsheet is enough, and applied idempotently.

A decision refers to what the annotator said, never to what an earlier decision made of it. Applying a file twice, or
two files in either order, therefore gives the same labels; of two decisions about one frame the later one holds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args

from streetvision_core.errors import DataError
from streetvision_core.mining.annotate import Annotation
from streetvision_core.storage import atomic_write_text

Choice = Literal["accept", "flip", "set-aside"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
COLUMNS: Final = ("id", "sha256", "label", "annotator", "why", "decision", "tag", "reviewer", "decided_at")
"""`label`, `annotator` and `why` are there for the reviewer to read; only `id` and the last four are read back."""

_CHOSEN_LABEL: Final[Mapping[Choice, Callable[[int], int | None]]] = {
    "accept": lambda label: label,
    "flip": lambda label: 1 - label,
    "set-aside": lambda label: None,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided about one annotation.

    Attributes:
        id: name of the query row.
        choice: `accept` the label, `flip` it, or `set-aside`: the frame is ambiguous and leaves the data.
        tag: a free word, e.g. a failure mode.
        reviewer: who.
        decided_at: when, ISO 8601; UTC unless it says otherwise.
    """

    id: str
    choice: Choice
    tag: str
    reviewer: str
    decided_at: str


@dataclass(frozen=True, slots=True)
class ReviewedLabel:
    """The label a frame ends up with; None where it was set aside.

    `decision` is None where no reviewer has looked: the annotator's label then stands.
    """

    id: str
    sha256: str
    label: int | None
    annotation: Annotation
    decision: Decision | None


def export_csv(path: Path, annotations: Sequence[Annotation], decisions: Iterable[Decision] = ()) -> None:
    """Writes the sheet a reviewer fills in, one line per labelled frame, decisions made so far included."""
    made = latest(decisions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for a in annotations:
        if a.label is not None:
            d = made.get(a.id)
            choice = (d.choice, d.tag, d.reviewer, d.decided_at) if d else ("", "", "", "")
            writer.writerow((a.id, a.sha256, a.label, a.annotator, a.why, *choice))
    atomic_write_text(path, text.getvalue())


def import_csv(path: Path) -> list[Decision]:
    """Reads the decisions of a sheet; lines without a decision are not yet decided and are skipped.

    Raises:
        DataError: a column is missing or a cell is not allowed; the message names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise _refused(path, 1, f"no column {', '.join(sorted(missing))}", ", ".join(COLUMNS))
            return [_read(path, number, row) for number, row in enumerate(reader, 2) if (row["decision"] or "").strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused(path, 0, str(error), "a UTF-8 CSV sheet written by export_csv") from error


def latest(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The decision that holds for each id: the latest one.

    Raises:
        DataError: two different decisions about one frame bear the same time.
    """
    held: dict[str, Decision] = {}
    for decision in decisions:
        other = held.get(decision.id)
        if other and other.choice != decision.choice and _moment(other) == _moment(decision):
            raise DataError(
                got=f"{other.choice} and {decision.choice} for {decision.id} at {decision.decided_at}",
                allowed="one decision per frame and moment",
                action="correct the later one's decided_at",
                id=decision.id,
            )
        if other is None or _moment(decision) >= _moment(other):
            held[decision.id] = decision
    return held


def apply(annotations: Sequence[Annotation], decisions: Iterable[Decision]) -> list[ReviewedLabel]:
    """Gives every labelled annotation its final label.

    Args:
        annotations: records with a label; those without one are skipped.
        decisions: in any order, repetitions allowed.

    Raises:
        DataError: a decision about a frame that is not among the annotations, or contradicting decisions.
    """
    held = latest(decisions)
    labelled = [a for a in annotations if a.label is not None]
    if unknown := sorted(set(held) - {a.id for a in labelled}):
        raise DataError(
            got=f"decisions about {', '.join(unknown[:5])}",
            allowed="frames that were annotated",
            action="review the sheet of the same day",
            ids=unknown,
        )
    return [_apply(a, held.get(a.id)) for a in labelled]


def _apply(annotation: Annotation, decision: Decision | None) -> ReviewedLabel:
    label = annotation.label
    if decision is not None and label is not None:
        label = _CHOSEN_LABEL[decision.choice](label)
    return ReviewedLabel(annotation.id, annotation.sha256, label, annotation, decision)


def _read(path: Path, number: int, row: Mapping[str, str]) -> Decision:
    choice, moment = row["decision"].strip(), (row["decided_at"] or "").strip()
    if choice not in CHOICES:
        raise _refused(path, number, f"decision {choice!r}", f"{', '.join(CHOICES)} or nothing")
    if not (row["reviewer"] or "").strip():
        raise _refused(path, number, "a decision without a reviewer", "who decided, in the column reviewer")
    decision = Decision(row["id"].strip(), choice, (row["tag"] or "").strip(), row["reviewer"].strip(), moment)
    try:
        _moment(decision)
    except ValueError:
        raise _refused(path, number, f"decided_at {moment!r}", "a time such as 2026-03-01T09:30:00+00:00") from None
    return decision


def _moment(decision: Decision) -> datetime:
    moment = datetime.fromisoformat(decision.decided_at)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _refused(path: Path, number: int, got: str, allowed: str) -> DataError:
    where = f" line {number}" if number else ""
    return DataError(f"{path.name}{where}: {got}", allowed, "mend the sheet and import it again", path=str(path))
