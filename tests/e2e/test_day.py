"""A whole day by the command line, and what stands in its report."""

import datetime as dt
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from streetvision_core.labels import Decision, LabelStore
from streetvision_core.learning.dataset import Dataset
from streetvision_core.loop.workspace import last_complete_week
from streetvision_core.mining.querylog import QueryLog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the first one waits for a whole day
DAY = "2026-11-20"


def page(day):
    return (day.home / "reports" / DAY / "index.html").read_text()


def test_daily__every_step_is_done(day):
    assert day.first.returncode == 0, day.first.stderr[-4000:]
    [outcome] = json.loads(day.first.stdout)
    assert set(outcome["steps"].values()) == {"done"}
    assert outcome["report"].endswith("index.html")


def test_daily__a_second_run_skips_what_is_unchanged(day):
    [outcome] = day.json("daily", "--demo", "--day", DAY)
    assert set(outcome["steps"].values()) == {"skipped"}


def test_report__is_small_offline_and_told_in_full(day):
    html = page(day)
    assert len(html.encode()) < 2_000_000
    assert "Content-Security-Policy" in html
    assert not re.search(r"(src|href)=[\"']https?://", html)
    assert "not available" not in html


def test_report__says_that_stage_3_is_absent_and_that_the_day_is_rendered(day):
    html = page(day)
    assert "stage 3 is absent" in html
    assert "rendered" in html
    assert "halted" in html


def test_report__links_a_page_for_every_step(day):
    links = re.findall(r'href="(steps/[^"]+\.html)"', page(day))
    assert len(set(links)) >= 9
    assert all((day.home / "reports" / DAY / link).exists() for link in links)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_report__a_browser_shows_it(day):
    path = day.home / "reports" / DAY / "index.html"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<img" in shown
    assert "champion" in shown.lower()


def test_history__says_what_served_and_why(day):
    events = day.json("history")
    assert events[0]["action"] == "first"
    assert {event["action"] for event in events} & {"promote", "refuse"}


def test_weekly__sums_up_the_day(day):
    done = day.run("weekly", "--day", DAY)
    assert done.returncode == 0, done.stderr[-2000:]
    html = (day.home / "reports" / "weekly" / "2026-W47.html").read_text()
    assert DAY in html or "20 November" in html


def test_daily__a_finished_night_leaves_nothing_for_the_next(day):
    nights = [json.loads(line) for line in (day.home / "data" / "nights.jsonl").read_text().splitlines()]
    assert [(n["night"], n["first_query_id"], n["last_query_id"], n["days"]) for n in nights] == [(DAY, 1, 20, [DAY])]
    done = day.run("daily", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    [outcome] = json.loads(done.stdout)
    assert outcome["steps"] == {}
    assert outcome["headline"].startswith("A quiet night: nothing new to learn from")
    assert "No query came and no person decided anything" in Path(outcome["report"]).read_text()


@pytest.mark.long
def test_daily__a_night_without_queries_learns_from_decisions(day):
    with QueryLog(day.home / "data" / "queries") as log, LabelStore(day.home / "data" / "labels.sqlite") as labels:
        image = log.rows()[0].sha256
        labels.record_decisions([Decision(image, 1, "person", "anna", dt.datetime.now(dt.UTC))])
    done = day.run("daily", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    [outcome] = json.loads(done.stdout)
    assert set(outcome["steps"].values()) == {"done"}
    assert not {"mine", "synthesize"} & set(outcome["steps"])
    html = Path(outcome["report"]).read_text()
    assert "no query came this night" in html and "are rendered, and so are their labels" not in html
    night = Path(outcome["report"]).parent.name
    rows = Dataset.load(day.home / "data" / "days" / night / "dataset.parquet").to_pandas()
    assert image in set(rows[rows.labelled_by == "person"].image)


@pytest.mark.long
def test_daily__a_past_day_again_has_a_page_of_its_own_and_moves_no_cursor(day):
    nights, page_before = (day.home / "data" / "nights.jsonl").read_text(), page(day)
    done = day.run("daily", "--day", DAY, "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    [outcome] = json.loads(done.stdout)
    assert set(outcome["steps"].values()) == {"done"} and "mine" in outcome["steps"]
    assert Path(outcome["report"]).parent.name == f"{DAY}_to_{DAY}"
    assert "as it was asked to: 20 November 2026" in Path(outcome["report"]).read_text()
    assert (day.home / "data" / "nights.jsonl").read_text() == nights
    assert page(day) == page_before


def test_daily__a_day_that_has_not_begun_is_refused_and_so_are_days_the_wrong_way_round(empty):
    for arguments, told in [
        (("--day", "2999-01-01"), "which has not begun"),
        (("--demo", "--day", "2999-01-01"), "which has not begun"),
        (("--since", "2026-11-20", "--until", "2026-11-19"), "the older day as --since"),
    ]:
        done = empty.run("daily", *arguments)
        assert done.returncode != 0
        assert told in done.stderr
    assert not (empty.home / "reports").exists()


def test_weekly__without_an_option_is_the_week_that_ended_last(empty):
    done = empty.json("weekly")
    week = last_complete_week(dt.datetime.now(dt.UTC).date())
    assert done["report"].endswith(f"weekly/{week}.html")
