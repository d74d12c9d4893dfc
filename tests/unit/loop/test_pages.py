"""The pages: complete, escaped, small, self-contained."""

import datetime as dt
import re
from html.parser import HTMLParser

import pytest

from streetvision_core.loop.report import render
from streetvision_core.loop.report.charts import Scale, comparison_scales, line, scale_for, spread
from streetvision_core.loop.report.fields import Estimate, Missing
from streetvision_core.loop.report.models import Change, Comparison, Gate, Honesty
from streetvision_core.loop.report.notebook import notebook_page
from streetvision_core.loop.report.pages import duration, milliseconds, moment, number, percent
from streetvision_core.loop.report.queries import DoubtedPicture, Doubts, Hard, HardPicture, Traffic
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.report.week import WeekStory, summarise_week
from streetvision_core.loop.result import MIME
from streetvision_core.loop.steps import StepResult

from .stories import DAY, day_story, hard_pictures

EVIL = "</style></title><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>\"'{{7*7}}"
VOID = {"meta", "link", "img", "br", "hr", "col"}


class Reader(HTMLParser):
    """Collects tags and attributes, and checks that every tag is closed."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.open, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        self.text.append(data)


def week(*stories):
    learned = {story.day: 1900 + 100 * i for i, story in enumerate(stories)}
    return summarise_week("2026-W48", stories, "2026-11-29T05:00:00+00:00", training_frames=learned)


def evil_story():
    picture = hard_pictures(1)[0].jpeg_base64
    comparison = Comparison(EVIL, EVIL, 3, Estimate(None), Estimate(0.5))
    return DayStory(
        day=DAY,
        profile=EVIL,
        generated_at=EVIL,
        champion=EVIL,
        headline=EVIL,
        summary=EVIL,
        traffic=Traffic(1, 1, (), sources={EVIL: 1}, eras={EVIL: 1}, absent_stages={"vlm": EVIL}),
        hard=Hard(1, (HardPicture(picture, EVIL, 0.5, "ocr", EVIL),), {EVIL: 1}, {EVIL: 1}, EVIL),
        doubts=Doubts(1, 1, (DoubtedPicture(picture, EVIL, EVIL, 1, 0.1, 0.2),)),
        change=Change(EVIL, EVIL, (comparison,), EVIL),
        gate=Gate(True, (EVIL,)),
        bands=Missing(EVIL),
        honesty=Honesty((EVIL,), (EVIL,), (EVIL,), (EVIL,)),
        steps=(StepResult("a", EVIL, "failed", note=EVIL, html="steps/a.html", attempts=1),),
    )


PAGES = {
    "full day": lambda: render.day_page(day_story(pictures=3)),
    "kept": lambda: render.day_page(day_story(promoted=False, pictures=0)),
    "bare day": lambda: render.day_page(DayStory(day=DAY, profile="embedded", generated_at="now")),
    "evil day": lambda: render.day_page(evil_story()),
    "week": lambda: render.week_page(week(*(day_story(day=DAY + dt.timedelta(days=i), pictures=0) for i in range(3)))),
    "one day's week": lambda: render.week_page(week(day_story(pictures=0))),
    "evil week": lambda: render.week_page(week(evil_story())),
    "empty week": lambda: render.week_page(WeekStory("2026-W48", "embedded", "now", ())),
    "notebook": lambda: notebook_page(EVIL_NOTEBOOK, EVIL, DAY),
}


def output(**data):
    return {"output_type": "display_data", "metadata": {}, "data": {k.replace("__", "/"): v for k, v in data.items()}}


EVIL_NOTEBOOK = {
    "cells": [
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": f"# Title\n\n{EVIL} ![x](https://evil.example/a.png) [l](javascript:alert(1))",
        },
        {"cell_type": "raw", "metadata": {}, "source": EVIL},
        {
            "cell_type": "code",
            "metadata": {"tags": ["injected-parameters"], "papermill": {"duration": 2.0}},
            "execution_count": 1,
            "source": f"print({EVIL!r})",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": [EVIL, "\x1b[31mred\x1b[0m", "\r 10 %\r 99 %"]},
                {"output_type": "error", "ename": EVIL, "evalue": EVIL, "traceback": [EVIL]},
                output(text__html=f"<table onclick='alert(1)'><tr><td>{EVIL}</td></tr></table>"),
                output(text__html="<style>p{}</style><script>alert(3)", text__plain="plain instead"),
                output(text__html="x" * 500_000, text__plain="too long instead"),
                output(text__markdown=EVIL),
                output(**{"image/png": "iVBORw0K\nGgo="}),
                output(**{"image/png": '"><script>alert(4)</script>', "text/plain": "no picture"}),
                output(**{"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(5)</script></svg>"}),
                output(**{"application/javascript": "alert(6)", "text/plain": "a script"}),
                output(**{MIME: {"text": EVIL, "numbers": {"a": [1, 2]}}}),
            ],
        },
    ]
}


@pytest.mark.parametrize("name", PAGES)
def test_page__is_well_formed_self_contained_and_without_scripts(name):
    text = PAGES[name]()
    page = Reader(text)
    assert "script" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on")]
    loads = [
        value
        for _, name, value in page.attributes
        if name in ("src", "srcset", "data", "poster", "action", "background")
    ]
    assert all(value.startswith("data:image/") for value in loads)
    assert [v for t, n, v in page.attributes if t == "link" and n == "href"] == ["data:,"]
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert all(link.startswith("#") or re.fullmatch(r"(\.\./)?[\w./-]+\.html", link) for link in links)
    assert "url(" not in text
    assert "@import" not in text
    policy = [
        value for tag, name, value in page.attributes if tag == "meta" and name == "content" and "default-src" in value
    ]
    assert policy == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_page__a_script_would_be_seen():
    assert "script" in Reader("<p><script>1</script></p>").tags


@pytest.mark.parametrize("name", ["evil day", "evil week", "notebook"])
def test_page__shows_hostile_text_as_text(name):
    text = "".join(Reader(PAGES[name]()).text)
    assert "<script>alert(1)</script>" in text
    assert "{{7*7}}" in text


def test_day_page__is_small_with_forty_pictures():
    text = render.day_page(day_story(pictures=40, doubts=Doubts(160, 0)))
    assert text.count("data:image/jpeg") == 40
    assert len(text.encode()) < 2_000_000


def test_day_page__shows_at_most_48_pictures_and_says_so():
    text = render.day_page(day_story(pictures=50, doubts=Doubts(160, 0)))
    assert text.count("data:image/jpeg") == 48
    assert "2 more are not shown" in text


def test_day_page__says_why_a_section_is_missing():
    text = render.day_page(DayStory(day=DAY, profile="embedded", generated_at="now", gate=Missing("too few frames")))
    assert text.count("Not available: the step that tells it did not run.") >= 6
    assert "Not available: too few frames." in text


@pytest.mark.parametrize(
    "part",
    [
        "v0008 proved better and takes over from v0007.",
        "absent: no package carries an image-text model",
        "0.640–0.780",
        "at worst −5.0 points",
        "Only 41 groups reach this stage",
        "steps/train.html",
        "1 min 28 s",
        "Wikimedia Commons",
        "Monday 23 November 2026",
        "unchanged, skipped",
    ],
)
def test_day_page__tells(part):
    assert part in render.day_page(day_story(pictures=0))


def test_day_page__labels_in_doubt_have_a_section_only_where_there_are_any():
    text = render.day_page(day_story(pictures=0))
    told = " ".join(re.sub(r"<[^>]+>", " ", text[text.index('id="doubts"') : text.index('id="changed"')]).split())
    assert "3 of 160 labels are in doubt" in told
    assert (
        "labelled road work perhaps none heads that never saw it give the label 3.1 %; the champion answered 0.10"
        in told
    )
    assert "The worst 2 are shown." in told
    for nothing in (Doubts(160, 0), Missing("the step that tells it did not run")):
        assert 'id="doubts"' not in render.day_page(day_story(pictures=0, doubts=nothing))


def test_day_page__puts_the_steps_first_when_one_failed():
    text = render.day_page(day_story(pictures=0, steps=(StepResult("a", "A", "failed"),)))
    assert text.index('id="steps"') < text.index('id="came-in"')
    assert text.count('id="steps"') == 1


def test_notebook_page__prefers_pictures_strips_colours_and_redraws():
    text = PAGES["notebook"]()
    page = "".join(Reader(text).text)
    assert "plain instead" in page
    assert "too long instead" in page
    assert "no picture" in page
    assert "data:image/png;base64,iVBORw0KGgo=" in text
    assert "\x1b" not in text
    assert "99 %" in page
    assert "10 %" not in page
    assert "alert(6)" not in text
    assert "parameters of this run" in page


def test_write_day_and_week__files_are_read_back(workspace):
    story = day_story(pictures=1)
    path = render.write_day(story, workspace)
    assert path == workspace.report_file(DAY)
    assert render.read_stories(workspace, [DAY, DAY + dt.timedelta(days=1)]) == [story]
    weekly = render.write_week(week(story), workspace)
    assert weekly.read_text().startswith("<!doctype html>")
    assert (weekly.parent / "../2026-11-23/index.html").resolve() == path
    workspace.story_file(DAY).write_text("{}")
    assert render.read_stories(workspace, [DAY]) == []


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.1234), "12 %"),
        (percent(None), "n/a"),
        (number(1234567), "1\u202f234\u202f567"),
        (number(-0.5, 1), "\u22120.5"),
        (number(Estimate(None)), "n/a"),
        (duration(9.96), "10 s"),
        (duration(59.6), "1 min 00 s"),
        (duration(3725), "1 h 02 min"),
        (duration(None), "n/a"),
        (milliseconds(8.31), "8.3 ms"),
        (milliseconds(1180.0), "1.2 s"),
        (moment("2026-11-23T04:12:09+00:00"), "2026-11-23 04:12 UTC"),
        (moment("now"), "now"),
    ],
)
def test_filters__write_numbers_as_people_read_them(shown, expected):
    assert shown == expected


def test_scale_for__holds_every_value_and_no_impossible_share():
    estimates = [Estimate(0.97, 0.9, 1.0), Estimate(0.8), None, Estimate(None)]
    scale = scale_for(estimates)
    assert scale.low < 0.8
    assert scale.high == 1.0
    assert scale.percent(2.0) == 100.0
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks())
    assert scale_for([]) == Scale(0.0, 1.0)
    assert scale_for([Estimate(0.5)]).percent(0.5) == pytest.approx(50, abs=20)
    negative = scale_for([Estimate(-0.2, -0.4, 0.1)])
    assert negative.low <= -0.4


def test_comparison_scales__are_equally_wide_and_hold_their_row():
    rows = [
        Comparison("MCC", "a", 9, Estimate(0.9, 0.8, 1.0), Estimate(0.7, 0.5, 0.8)),
        Comparison("Brier", "a", 9, Estimate(0.1, 0.08, 0.12), Estimate(0.09), lower_is_better=True),
    ]
    scales = comparison_scales(rows)
    assert len({round(s.high - s.low, 6) for s in scales}) == 1
    for row, scale in zip(rows, scales, strict=True):
        for value in (row.champion.value, row.challenger.value, row.champion.low, row.champion.high):
            assert scale.low <= value <= scale.high


def test_line__leaves_out_days_without_a_number():
    drawn = line("x", 1, spread(3), [Estimate(0.5), None, Estimate(1.0, 0.9, 1.0)], Scale(0, 1))
    assert [(p.x, p.y) for p in drawn.points] == [(6.0, 50.0), (94.0, 100.0)]
    assert len(drawn.segments) == 1
    assert spread(1) == [50.0]


def test_write_day__a_failed_run_again_leaves_the_good_page_and_is_linked(workspace):
    good = render.write_day(day_story(pictures=1), workspace)
    told = render.day_page(day_story(pictures=1))
    assert good.read_text() == told
    broken = day_story(
        pictures=0, steps=(StepResult("train", "Train", "failed"),), generated_at="2026-11-23T05:00:00+00:00"
    )
    failed = render.write_day(broken, workspace)
    assert failed.name == "failed-20261123T050000.html"
    assert "Run incomplete" in failed.read_text() and 'href="index.html"' in failed.read_text()
    kept = good.read_text()
    assert "Run incomplete" not in kept and f'href="{failed.name}"' in kept
    assert "v0008 proved better" in kept
    render.write_day(broken, workspace)
    assert good.read_text() == kept, "the same failure is linked once"
    assert render.write_day(day_story(pictures=1), workspace) == good
    assert good.read_text() == told, "a good run again takes the page over"


def test_write_day__of_failed_runs_the_last_one_stands(workspace):
    for step in ("Train", "Mine"):
        page = render.write_day(day_story(pictures=0, steps=(StepResult("x", step, "failed"),)), workspace)
    assert page.name == "index.html" and "Mine failed" in page.read_text()


def test_day_page__a_quiet_night_says_so_and_nothing_is_missing_from_it():
    page = render.day_page(DayStory(day=DAY, profile="embedded", generated_at="now", champion="v0007", quiet=True))
    assert "Nothing to learn" in page and "No query came and no person decided anything" in page
    assert "Not available" not in page
    assert Reader(page).open == []


def test_day_page__says_what_each_calibration_is_worth_and_which_one_serves():
    page = render.day_page(day_story())
    table = page.partition("What each calibration is worth")[2].partition("</table>")[0]
    assert table.count("<tr>") == 5 and table.count(">serves<") == 2
    assert "0.61" in table and "rendered frames" in table
