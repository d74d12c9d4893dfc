"""A sheet out and in: what spreadsheets do to it, lines that are wrong, and images that nobody knows."""

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streetvision_core.errors import DataError
from streetvision_core.mining.annotate import Annotation, save_annotations
from streetvision_core.mining.review_queue import ReviewQueue
from streetvision_core.mining.review_sheet import SheetImport, export_sheet, import_sheet

DAY, NOW = "2026-03-01", datetime(2026, 3, 2, 9, tzinfo=UTC)
IMAGES = [f"{i:064x}" for i in range(3)]


@pytest.fixture
def queue(tmp_path: Path) -> ReviewQueue:
    made = ReviewQueue.of_data(tmp_path / "data")
    shown = [Annotation(f"query-{i}", image, i % 2, (), "champion", "", "why") for i, image in enumerate(IMAGES)]
    save_annotations(made.folder / DAY / "annotations.json", shown)
    return made


def path_of(image: str) -> Path:
    return Path("/photos") / f"{image}.jpg"


def write(queue: ReviewQueue, sheet: Path, **cells: str) -> Path:
    """The day's sheet, with these cells in every line."""
    export_sheet(sheet, queue.frames(DAY), path_of)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows({**line, **cells} for line in lines)
    return sheet


def read(queue: ReviewQueue, sheet: Path, known: set[str] | None = None) -> SheetImport:
    is_known = (set(IMAGES) if known is None else known).__contains__
    return import_sheet(sheet, queue.store, reviewer="anna", now=NOW, is_known=is_known)


def test_export__a_line_names_the_picture_and_its_file(queue: ReviewQueue, tmp_path: Path) -> None:
    queue.decide(DAY, "query-1", "flip", reviewer="anna", tag="night", reason="no cones")
    export_sheet(tmp_path / "sheet.csv", queue.frames(DAY), path_of)
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    assert [line["path"] for line in lines] == [str(path_of(image)) for image in IMAGES]
    assert [line["file"] for line in lines] == [f"{image}.jpg" for image in IMAGES]
    assert [(line["decision"], line["reviewer"], line["reason"]) for line in lines] == [
        ("", "", ""),
        ("flip", "anna", "no cones"),
        ("", "", ""),
    ]


def test_import__filled_in_by_hand_twice(queue: ReviewQueue, tmp_path: Path) -> None:
    sheet = write(queue, tmp_path / "sheet.csv", decision="set-aside")
    assert read(queue, sheet) == SheetImport(3, 0, (), (), 0)
    assert read(queue, sheet) == SheetImport(0, 3, (), (), 0)
    assert queue.progress(DAY).set_aside == 3


@pytest.mark.parametrize(
    ("decision", "labels"),
    [("accept", [0, 1, 0]), ("flip", [1, 0, 1]), ("roadwork", [1, 1, 1]), ("none", [0, 0, 0]), ("Accept", [0, 1, 0])],
)
def test_import__what_a_decision_means(queue: ReviewQueue, tmp_path: Path, decision: str, labels: list[int]) -> None:
    read(queue, write(queue, tmp_path / "sheet.csv", decision=decision))
    assert [queue.store.labels()[image].label for image in IMAGES] == labels


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_import__whatever_a_spreadsheet_writes(
    queue: ReviewQueue, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    sheet = write(queue, tmp_path / "sheet.csv", decision="flip", reason="Baustelle hinter Müllauto")
    with sheet.open(newline="") as file:
        lines = list(csv.reader(file))
    with sheet.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\r\n").writerows(lines)
    assert read(queue, sheet).new == 3
    assert queue.store.labels()[IMAGES[0]].why == "Baustelle hinter Müllauto"


@pytest.mark.parametrize("reason", ['=HYPERLINK("http://a.b","x")', "+1", "-1 cone", "@anna"])
def test_sheet__a_formula_in_a_reviewers_words_never_runs_and_comes_back_whole(
    queue: ReviewQueue, tmp_path: Path, reason: str
) -> None:
    queue.decide(DAY, "query-1", "flip", reviewer="anna", reason=reason)
    sheet = tmp_path / "sheet.csv"
    export_sheet(sheet, queue.frames(DAY), path_of)
    with sheet.open(encoding="utf-8-sig") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert (read(queue, sheet).new, queue.store.labels()[IMAGES[1]].why) == (0, reason)


@pytest.mark.parametrize(
    ("cells", "got"),
    [
        ({"decision": "maybe"}, "the decision 'maybe'"),
        ({"decision": "tag"}, "only tags"),
        ({"decision": "flip", "proposed": "perhaps"}, "flip of the proposed label 'perhaps'"),
        ({"decision": "flip", "decided_by": "robot"}, "decided_by 'robot'"),
        ({"decision": "flip", "decided_at": "3/1/26 13:00"}, "decided_at '3/1/26 13:00'"),
        ({"decision": "flip", "decided_at": "2026-03-03T09:00:00"}, "still to come"),
        ({"decision": "flip", "image": "1.00E+63"}, "the image '1.00E+63'"),
    ],
)
def test_import__bad_lines_are_named_and_the_others_count(
    queue: ReviewQueue, tmp_path: Path, cells: dict[str, str], got: str
) -> None:
    bad = write(queue, tmp_path / "bad.csv", **cells).read_text().splitlines()
    good = write(queue, tmp_path / "good.csv", decision="accept").read_text().splitlines()
    (tmp_path / "mixed.csv").write_text("\n".join([bad[0], bad[1], *good[2:]]) + "\n")
    outcome = read(queue, tmp_path / "mixed.csv")
    assert (outcome.new, [line.line for line in outcome.bad]) == (2, [2])
    assert got in outcome.bad[0].got
    assert outcome.bad[0].allowed


def test_import__unknown_images_are_kept_apart_and_break_nothing(queue: ReviewQueue, tmp_path: Path) -> None:
    sheet = write(queue, tmp_path / "sheet.csv", decision="accept")
    outcome = read(queue, sheet, known=set(IMAGES[:1]))
    assert (outcome.new, [d.query for d in outcome.unknown]) == (1, ["query-1", "query-2"])
    assert set(queue.store.labels()) == set(IMAGES[:1])
    assert [d.query for d in queue.store.unknown()] == ["query-1", "query-2"]


def test_import__a_sheet_of_the_old_make(queue: ReviewQueue, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    header = "id,sha256,label,annotator,why,decision,tag,reviewer,decided_at"
    rows = [f"query-1,{IMAGES[1]},1,x,y,flip,,ben,2026-03-01T13:00:00+00:00", f"query-1,{IMAGES[1]},1,x,y,tag,fog,ben,"]
    sheet.write_text("\n".join([header, *rows]) + "\n")
    assert read(queue, sheet).new == 2
    label = queue.store.labels()[IMAGES[1]]
    assert (label.label, label.who, label.when, label.tags) == (0, "ben", datetime(2026, 3, 1, 13, tzinfo=UTC), {"fog"})


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "the columns"), (b"a,b\n1,2\n", "the columns a, b"), (b"\xff\x00\x81", "allowed")],
)
def test_import__what_is_no_sheet(queue: ReviewQueue, tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "sheet.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(queue, tmp_path / "sheet.csv")
    assert not queue.store.path.exists()
