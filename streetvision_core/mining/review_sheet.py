"""A review sheet: CSV that leaves for a spreadsheet and comes back; it holds nothing that the label store does not.

A line stands for itself: it names the image, its file and the proposed label, so a sheet can be imported on any
day, in any order, twice, and together with frames that were mined since.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from streetvision_core.errors import DataError, LabelStoreError
from streetvision_core.labels import Decision, LabelStore, Source
from streetvision_core.mining.review_queue import Reviewed
from streetvision_core.storage import atomic_write_text

COLUMNS: Final = (
    "day", "id", "image", "file", "path", "proposed", "annotator", "why",
    "decision", "tag", "reviewer", "decided_at", "decided_by", "reason",
)  # fmt: skip
_OLD_NAMES: Final = {"sha256": "image", "label": "proposed"}
_NAMES_OF_SOURCES: Final[Mapping[str, Source]] = {
    "": "person", "human": "person", "person": "person", "machine": "machine",
}  # fmt: skip
DECISIONS: Final = ("accept", "flip", "set-aside", "tag", "roadwork", "none")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a sheet that was skipped: its number, what it holds, what would be right."""

    line: int
    got: str
    allowed: str


@dataclass(frozen=True, slots=True)
class SheetImport:
    """What became of a sheet.

    Attributes:
        new: decisions recorded.
        unchanged: decisions that held already.
        unknown: decisions about images that nothing here is about; kept apart.
        bad: lines that were skipped.
        undecided: lines without a decision.
    """

    new: int
    unchanged: int
    unknown: tuple[Decision, ...]
    bad: tuple[BadLine, ...]
    undecided: int


def export_sheet(path: Path, frames: Iterable[Reviewed], image_path: Callable[[str], Path]) -> None:
    """Writes one line per frame, with the person's decision where there is one.

    Args:
        path: the sheet; replaced.
        frames: in the order of the lines.
        image_path: where the image with a sha256 lies.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for frame in frames:
        line = _line(frame, image_path(frame.shown.sha256))
        writer.writerow({name: _no_formula(cell) for name, cell in line.items()})
    # With a byte order mark spreadsheets read UTF-8 as UTF-8.
    atomic_write_text(path, "\ufeff" + text.getvalue())


def import_sheet(
    path: Path,
    store: LabelStore,
    *,
    reviewer: str,
    now: datetime,
    is_known: Callable[[str], bool],
    image_of: Callable[[str], str | None] = lambda name: None,
) -> SheetImport:
    """Records the decisions of a sheet; lines that cannot be read are skipped and named, the others count.

    Args:
        path: the sheet: comma, semicolon or tab, UTF-8 or UTF-16, with or without a byte order mark.
        store: where they are recorded.
        reviewer: who decided, where a line does not say so.
        now: when, where a line does not say so; a later time is refused.
        is_known: whether an image's sha256 stands in the query log or in a data set.
        image_of: the image of a query's name, for sheets that have lost the column `image`.

    Raises:
        DataError: no readable sheet, or no columns `decision` and `image` or `id`.
        LabelStoreError, StorageError: the store could not be written; nothing was recorded.
    """
    decisions: list[Decision] = []
    bad: list[BadLine] = []
    undecided = 0
    for number, line in _lines(path):
        if not line["decision"]:
            undecided += 1
            continue
        try:
            decisions.append(_decision(line, reviewer, now, image_of))
        except DataError as error:
            bad.append(BadLine(number, error.got, error.allowed))
    recorded = store.record_decisions(decisions, is_known)
    return SheetImport(recorded.new, recorded.unchanged, recorded.set_aside, tuple(bad), undecided)


def _line(frame: Reviewed, image: Path) -> dict[str, str]:
    shown, decision = frame.shown, frame.decision
    line = {
        "day": frame.day,
        "id": shown.id,
        "image": shown.sha256,
        "file": image.name,
        "path": str(image),
        "proposed": str(shown.label),
        "annotator": shown.annotator,
        "why": shown.why,
        "tag": ", ".join(frame.tags),
    }
    if decision is not None:
        line |= {"decision": frame.choice or "", "reviewer": decision.who, "decided_by": decision.source}
        line |= {"decided_at": decision.when.isoformat(), "reason": decision.why}
    return line


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = _decoded(path.read_bytes())
        first = text.split("\n", 1)[0]
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=max(",;\t", key=first.count))
        reader.fieldnames = [_OLD_NAMES.get(name.strip(), name.strip()) for name in reader.fieldnames or ()]
        if "decision" not in reader.fieldnames or not {"image", "id"} & set(reader.fieldnames):
            raise _not_a_sheet(path, f"the columns {', '.join(reader.fieldnames) or '(none)'}")
        lines = [(reader.line_num, {n: _cell(line.get(n)) for n in COLUMNS}) for line in reader]
    except FileNotFoundError:
        raise _not_a_sheet(path, "no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _not_a_sheet(path, str(error)) from error
    return lines


def _decoded(data: bytes) -> str:
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # what spreadsheets call Unicode text
    return data.decode("utf-16" if utf16 else "utf-8-sig")


def _decision(line: Mapping[str, str], reviewer: str, now: datetime, image_of: Callable[[str], str | None]) -> Decision:
    choice, source = line["decision"].lower(), _NAMES_OF_SOURCES.get(line["decided_by"].lower())
    if choice not in DECISIONS:
        raise _refused(f"the decision {line['decision']!r}", f"{', '.join(DECISIONS)}, or nothing")
    if source is None:
        raise _refused(f"decided_by {line['decided_by']!r}", "person, machine, or nothing")
    if choice in ("accept", "flip") and line["proposed"] not in ("0", "1"):
        raise _refused(f"{choice} of the proposed label {line['proposed']!r}", "0 or 1 in proposed; or roadwork, none")
    image = line["image"] or image_of(line["id"]) or ""
    shown = int(line["proposed"]) if line["proposed"] in ("0", "1") else 0
    labels = {"accept": shown, "flip": 1 - shown, "roadwork": 1, "none": 0}
    tags = tuple(tag.strip() for tag in line["tag"].split(",") if tag.strip())
    try:
        return Decision(
            image=image,
            label=labels.get(choice),
            source=source,
            who=line["reviewer"] or reviewer,
            when=_moment(line["decided_at"], now),
            why=line["reason"],
            tags=tags,
            query=line["id"] or None,
            only_tags=choice == "tag",
        )
    except LabelStoreError as error:
        raise _refused(error.got, error.allowed) from error


def _moment(cell: str, now: datetime) -> datetime:
    if not cell:
        return now
    try:
        when = datetime.fromisoformat(cell)
    except ValueError:
        raise _refused(f"decided_at {cell!r}", "a time such as 2026-03-01T09:30:00+00:00, or nothing: now") from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    if when > now:
        raise _refused(f"decided_at {cell!r}, which is still to come", f"a time until now, {now:%Y-%m-%dT%H:%MZ}")
    return when


def _no_formula(cell: str) -> str:
    """A spreadsheet would run `=HYPERLINK(…)`; a quote in front makes it text, and reading takes it away again."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _cell(cell: object) -> str:
    text = cell.strip() if isinstance(cell, str) else ""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def _not_a_sheet(path: Path, got: str) -> DataError:
    return DataError(
        got=f"{path.name}: {got}",
        allowed="a CSV sheet with the columns decision and image",
        action="run: streetvision review export sheet.csv",
        path=str(path),
    )


def _refused(got: str, allowed: str) -> DataError:
    return DataError(got, allowed, "correct the line and import the sheet again")


def summary_of(frames: Sequence[Reviewed]) -> str:
    """How many lines are still open, as a sentence."""
    waiting = sum(frame.choice is None for frame in frames)
    return f"{waiting} of {len(frames)} frames are open; decision is one of {', '.join(DECISIONS)}"
