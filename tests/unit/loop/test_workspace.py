import datetime as dt

import pytest

from streetvision_core.errors import LoopError
from streetvision_core.loop import workspace as workspace_module
from streetvision_core.loop.workspace import last_complete_week, parse_day, parse_night, week_days, week_of

from .conftest import DAY


@pytest.mark.parametrize(("text", "day"), [("2026-11-23", DAY), (DAY, DAY), (dt.datetime(2026, 11, 23, 5), DAY)])
def test_parse_day__reads(text, day):
    assert parse_day(text) == day
    assert type(parse_day(text)) is dt.date


@pytest.mark.parametrize("text", [None, ""])
def test_parse_day__is_today_in_utc(text):
    before, day, after = dt.datetime.now(dt.UTC).date(), parse_day(text), dt.datetime.now(dt.UTC).date()
    assert before <= day <= after


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-02-30", "23.11.2026", "20261123", "2026-11-23T00:00", "../etc", "2026-W47"]
)
def test_parse_day__refuses(text):
    with pytest.raises(LoopError, match="YYYY-MM-DD") as caught:
        parse_day(text)
    assert repr(text) in str(caught.value)


def test_week_of__is_the_iso_week():
    assert week_of(dt.date(2027, 1, 1)) == "2026-W53"
    assert dt.date(2027, 1, 1) in week_days("2026-W53")
    assert week_days("2026-W48")[0] == DAY


@pytest.mark.parametrize("week", ["2026-W54", "2026-47", "2025-W53", "x", "2026-W00"])
def test_week_days__refuses(week):
    with pytest.raises(LoopError, match="ISO week"):
        week_days(week)


def test_notebooks__are_the_workspaces_own_else_those_of_the_checkout(workspace, tmp_path, monkeypatch):
    assert (workspace.notebooks / "00_setup.ipynb").is_file()
    (tmp_path / "notebooks").mkdir()
    assert workspace.notebooks == tmp_path / "notebooks"
    (tmp_path / "notebooks").rmdir()
    monkeypatch.setattr(workspace_module, "_OF_THE_CHECKOUT", tmp_path / "site-packages" / "notebooks")
    with pytest.raises(LoopError, match="no notebooks") as caught:
        _ = workspace.notebooks
    assert str(tmp_path / "notebooks") in str(caught.value)


def test_workspace__paths(workspace, tmp_path):
    assert workspace.run_file(DAY) == tmp_path / "data/days/2026-11-23/run.json"
    assert workspace.run_file(DAY, "setup") == tmp_path / "data/days/2026-11-23/run-setup.json"
    assert workspace.report_file(DAY) == tmp_path / "reports/2026-11-23/index.html"
    assert workspace.weekly_file("2026-W47") == tmp_path / "reports/weekly/2026-W47.html"


def test_list_runs__is_sorted_and_passes_over_other_folders(workspace):
    for name in ("2026-11-23", "2026-11-02", "2026-13-01", "notes"):
        (workspace.data / "days" / name).mkdir(parents=True)
        (workspace.data / "days" / name / "run.json").write_text("{}")
    (workspace.data / "days" / "2026-11-24").mkdir()
    assert workspace.list_runs() == [dt.date(2026, 11, 2), DAY]
    assert workspace.list_runs("weekly") == []


def test_fill__fills_and_refuses(workspace, tmp_path):
    assert workspace.fill("{data}/queries/{day}", DAY) == tmp_path / "data/queries/2026-11-23"
    assert workspace.fill("{day_folder}/mined.npz", DAY) == tmp_path / "data/days/2026-11-23/mined.npz"
    assert workspace.fill("notes.txt", DAY) == tmp_path / "notes.txt"
    for pattern in ("{dat}/x", "{", "{0}"):
        with pytest.raises(LoopError, match="path pattern"):
            workspace.fill(pattern, DAY)


@pytest.mark.parametrize(("day", "week"), [(16, "2026-W46"), (22, "2026-W46"), (23, "2026-W47"), (29, "2026-W47")])
def test_last_complete_week__on_a_monday_it_is_the_one_that_ended_the_day_before(day, week):
    assert last_complete_week(dt.date(2026, 11, day)) == week


def test_parse_night__reads_a_date_and_a_name_of_past_days():
    assert parse_night("2026-11-20") == (dt.date(2026, 11, 20), "2026-11-20")
    assert parse_night("2026-11-20_to_2026-11-22") == (dt.date(2026, 11, 22), "2026-11-20_to_2026-11-22")
    with pytest.raises(LoopError):
        parse_night("2026-11-20_to_soon")
