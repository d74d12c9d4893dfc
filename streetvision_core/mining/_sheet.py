"""Reviewers' decisions as CSV, so that a spreadsheet is enough: written by the program, filled in by anybody."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock

from streetvision_core.errors import DataError
from streetvision_core.mining._decisions import BY, CHOICES, Decision, latest, moment
from streetvision_core.mining.annotate import Annotation
from streetvision_core.storage import atomic_write_text

READ_BACK: Final = ("decision", "tag", "reviewer", "decided_at", "decided_by", "reason")
COLUMNS: Final = ("id", "sha256", "label", "annotator", "why", *READ_BACK)
"""`label`, `annotator` and `why` are there for the reviewer to read; only `id` and the columns after them are read."""
OPTIONAL: Final = ("decided_by", "reason")
"""Absent from older sheets: a person decided and gave no reason."""
_LOCK_SECONDS: Final = 15.0


def export_csv(path: Path, annotations: Sequence[Annotation], decisions: Iterable[Decision] = ()) -> None:
    """Writes the sheet a reviewer fills in: a line per decision made so far, and one per labelled frame without any."""
    made: dict[str, list[Decision | None]] = {}
    for decision in decisions:
        made.setdefault(decision.id, []).append(decision)
    shown = [a for a in annotations if a.label is not None]
    atomic_write_text(path, _text(_line(a, d) for a in shown for d in made.get(a.id, [None])))


def import_csv(path: Path, reviewer: str = "", when: datetime | None = None) -> list[Decision]:
    """Reads the decisions of a sheet; lines without a decision are not yet decided and are skipped.

    Args:
        path: the sheet.
        reviewer: who decided, where a line does not say so.
        when: when, where a line does not say so.

    Raises:
        DataError: a column is missing or a cell is not allowed; the message names the line.
    """
    return [decision for _, decision in _decided(path, reviewer, when)]


def record(path: Path, decisions: Iterable[Decision], annotations: Sequence[Annotation]) -> int:
    """Adds decisions to the store of a day; what was decided before stays readable in it.

    Args:
        path: the store, `decisions.csv`; made if absent. Several processes may write to it.
        decisions: what was decided; those the store already holds are not added again, nor those that only say anew,
            at another time, what holds.
        annotations: the day's records; each decision must be about one of them.

    Returns:
        How many were new.

    Raises:
        DataError: a decision about a frame that was not annotated, or the store cannot be read.
    """
    shown = {a.id: a for a in annotations if a.label is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS):
        before = _decided(path, "", None) if path.exists() else []
        known = {decision for _, decision in before}
        settled = {_timeless(d) for d in (*latest(known).values(), *(d for d in known if d.choice == "tag"))}
        new = [d for d in dict.fromkeys(decisions) if d not in known and _timeless(d) not in settled]
        if strangers := sorted({d.id for d in new} - set(shown)):
            raise _strangers(strangers)
        latest([*known, *new])
        if new:
            lines = [line for line, _ in before] + [_line(shown[d.id], d) for d in new]
            atomic_write_text(path, _text(lines))
    return len(new)


def _timeless(decision: Decision) -> Decision:
    return replace(decision, decided_at="")


def _line(annotation: Annotation, decision: Decision | None) -> dict[str, str]:
    a, d = annotation, decision
    read = {"id": a.id, "sha256": a.sha256, "label": str(a.label), "annotator": a.annotator, "why": a.why}
    if d is None:
        return read
    made = {"decision": d.choice, "tag": d.tag, "reviewer": d.reviewer, "decided_at": d.decided_at}
    return read | made | {"decided_by": d.decided_by, "reason": d.reason}


def _text(lines: Iterable[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _decided(path: Path, reviewer: str, when: datetime | None) -> list[tuple[dict[str, str], Decision]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            if missing := set(COLUMNS) - set(OPTIONAL) - set(reader.fieldnames or ()):
                raise _refused(path, 1, f"no column {', '.join(sorted(missing))}", ", ".join(COLUMNS))
            lines = [(number, line) for number, line in enumerate(reader, 2) if line["decision"].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _refused(path, 0, str(error), "a UTF-8 CSV sheet written by export_csv") from error
    return [(line, _read(path, number, line, reviewer, when)) for number, line in lines]


def _read(path: Path, number: int, line: Mapping[str, str], reviewer: str, when: datetime | None) -> Decision:
    cells = {name: (line.get(name) or "").strip() for name in ("id", *READ_BACK)}
    given = when.astimezone(UTC).isoformat(timespec="seconds") if when else ""
    who, at, by = cells["reviewer"] or reviewer, cells["decided_at"] or given, cells["decided_by"] or "human"
    if cells["decision"] not in CHOICES:
        raise _refused(path, number, f"decision {cells['decision']!r}", f"{', '.join(CHOICES)} or nothing")
    if not who:
        raise _refused(path, number, "a decision without a reviewer", "who decided, in the column reviewer")
    if by not in BY:
        raise _refused(path, number, f"decided_by {by!r}", ", ".join(BY))
    if cells["decision"] == "tag" and not cells["tag"]:
        raise _refused(path, number, "the decision tag without a tag", "a failure mode in the column tag")
    decision = Decision(cells["id"], cells["decision"], cells["tag"], who, at, by, cells["reason"])
    try:
        moment(decision)
    except ValueError:
        raise _refused(path, number, f"decided_at {at!r}", "a time such as 2026-03-01T09:30:00+00:00") from None
    return decision


def _refused(path: Path, number: int, got: str, allowed: str) -> DataError:
    where = f" line {number}" if number else ""
    return DataError(f"{path.name}{where}: {got}", allowed, "mend the sheet and import it again", path=str(path))


def _strangers(ids: Sequence[str]) -> DataError:
    return DataError(
        got=f"decisions about {', '.join(ids[:5])}",
        allowed="frames that were annotated",
        action="review the sheet of the same day",
        ids=list(ids),
    )
