"""`streetvision review` without the App: sheets out and in, undo, status, and what is refused."""

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streetvision_core.cli._app import app
from streetvision_core.mining.annotate import Annotation, save_annotations
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.mining.review_queue import ReviewQueue
from streetvision_core.types import Verdict
from streetvision_core.workspace import create_workspace

DAYS = ("2026-03-01", "2026-03-02")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four logged queries, two shown on each of two days."""
    create_workspace(tmp_path)
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    verdict = Verdict(0.8, "detectors", True, (), "v1", "certified", 0.1)
    when = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with QueryLog(tmp_path / "data" / "queries") as log:
        images = log.append_many(
            [NewQuery(f"image {i}".encode(), verdict, "native", "g", "http", when) for i in range(4)]
        )
    for number, day in enumerate(DAYS):
        shown = [
            Annotation(f"query-{i + 1}", images[i], 1, (), "champion", "", "why") for i in (2 * number, 2 * number + 1)
        ]
        save_annotations(tmp_path / "data" / "days" / day / "annotations.json", shown)
    return tmp_path / "data"


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["review", *arguments])
    assert result.exit_code == code, result.output
    return result


def lines_of(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(sheet: Path, decisions: list[str]) -> None:
    lines = lines_of(sheet)
    with sheet.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows({**line, "decision": d} for line, d in zip(lines, decisions, strict=True))


def test_export__the_newest_day_a_range_and_only_what_is_open(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run("export", str(sheet))
    assert [line["day"] for line in lines_of(sheet)] == [DAYS[1]] * 2
    assert all(Path(line["path"]).read_bytes().startswith(b"image") for line in lines_of(sheet))
    run("export", str(sheet), "--since", DAYS[0])
    assert [line["id"] for line in lines_of(sheet)] == ["query-1", "query-2", "query-3", "query-4"]
    fill(sheet, ["accept", "", "flip", ""])
    run("import", str(sheet), "--reviewer", "anna")
    run("export", str(sheet), "--since", DAYS[0], "--open")
    assert [line["id"] for line in lines_of(sheet)] == ["query-2", "query-4"]


def test_import__says_what_it_did_and_ends_with_3_where_lines_were_bad(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run("export", str(sheet), "--since", DAYS[0])
    fill(sheet, ["accept", "perhaps", "set-aside", ""])
    outcome = json.loads(run("import", str(sheet), "--reviewer", "anna", "--json", code=3).stdout)
    assert (outcome["recorded"], outcome["undecided"], [b["line"] for b in outcome["bad_lines"]]) == (2, 1, [3])
    fill(sheet, ["accept", "", "set-aside", ""])
    assert json.loads(run("import", str(sheet), "--reviewer", "anna", "--json").stdout)["unchanged"] == 2


def test_import__a_query_that_was_never_mined_counts(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run("export", str(sheet))
    fill(sheet, ["roadwork", "none"])
    (data / "days" / DAYS[1] / "annotations.json").unlink()
    run("import", str(sheet), "--reviewer", "anna")
    assert sorted(label.label for label in ReviewQueue.of_data(data).store.labels().values()) == [0, 1]  # type: ignore[type-var]


def test_import__an_image_that_is_not_here_is_kept_apart_and_shown(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"image,decision,reviewer\n{'f' * 64},roadwork,anna\n")
    result = run("import", str(sheet), code=3)
    assert "kept apart" in result.stderr
    status = json.loads(run("status", "--json").stdout)
    assert [one["image"] for one in status["unknown"]] == ["f" * 64]


def test_undo__the_last_decision_or_that_about_an_image(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.csv"
    run("export", str(sheet), "--since", DAYS[0])
    fill(sheet, ["accept", "flip", "set-aside", "accept"])
    run("import", str(sheet), "--reviewer", "anna")
    assert "query-4: road work is withdrawn" in run("undo", "--reviewer", "anna").stderr
    image = lines_of(sheet)[1]["image"]
    assert "query-2: none is withdrawn" in run("undo", "--reviewer", "anna", "--image", image[:16]).stderr
    assert len(ReviewQueue.of_data(data).store.labels()) == 2


def test_status__how_much_waits_and_how_long(data: Path) -> None:
    ReviewQueue.of_data(data).decide(DAYS[0], "query-1", "flip", reviewer="anna")
    status = json.loads(run("status", "--json").stdout)
    assert [(d["day"], d["open"], d["flipped"], d["by"]) for d in status["days"]] == [
        (DAYS[0], 1, 1, {"anna": 1}),
        (DAYS[1], 2, 0, {}),
    ]
    assert (status["backlog"]["open"], status["backlog"]["oldest_day"]) == (3, DAYS[0])
    assert status["backlog"]["age_days"] == (datetime.now(UTC).date() - datetime(2026, 3, 1).date()).days
    assert "3 frames wait, the oldest for" in run("status").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "s.csv", "--day", "2999-01-01"), "still to come"),
        (("export", "s.csv", "--day", "2026-03-09"), "no frames of 2026-03-09"),
        (("export", "s.csv", "--since", "2026-03-05"), "no mined day from 2026-03-05"),
        (("import", "none.csv", "--reviewer", "anna"), "no such file"),
        (("undo", "--reviewer", "ben"), "no decision of ben"),
        (("undo", "--reviewer", "ben", "--image", "abc"), "0 images of ben"),
    ],
)
def test_refusals__are_named(data: Path, arguments: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["review", *arguments])
    assert message in str(result.exception)
