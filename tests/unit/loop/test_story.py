import datetime as dt
import json

import pytest

from streetvision_core.errors import ResultError
from streetvision_core.loop.report.fields import Missing
from streetvision_core.loop.report.headlines import headline, verdict
from streetvision_core.loop.report.queries import Traffic
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.report.week import summarise_week
from streetvision_core.loop.steps import StepResult

from .stories import DAY, day_story


def bare(**changes):
    return DayStory(day=DAY, profile="embedded", generated_at="2026-11-23T04:00:00+00:00", champion="v0007", **changes)


def failed(title):
    return StepResult(title.lower(), title, "failed")


def test_day_story__goes_through_json_and_back():
    story = day_story(pictures=2)
    again = DayStory.from_dict(json.loads(json.dumps(story.to_dict())))
    assert again == story
    missing = bare()
    assert DayStory.from_dict(json.loads(json.dumps(missing.to_dict()))) == missing
    assert isinstance(missing.gate, Missing)


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("profil", "x", "profil"),
        ("traffic", {"frames": 3, "said_roadwork": 1, "exits": [], "latencies": 1}, "traffic.Traffic.latencies"),
        ("traffic", {"frames": -1, "said_roadwork": 0, "exits": []}, "traffic.Traffic.frames"),
        ("bands", {"alpha": float("nan"), "delta": 0.05, "bands": []}, "bands.Bands.alpha"),
        ("gate", {"promoted": "perhaps", "reasons": []}, "gate.Gate.promoted"),
        ("plots", [{"title": "t", "alt": "a", "png_base64": '"><script>'}], "png_base64"),
        ("day", "yesterday", "day"),
    ],
)
def test_from_dict__names_the_wrong_key(where, value, message):
    data = {**bare().to_dict(), where: value}
    with pytest.raises(ResultError, match="day's story") as caught:
        DayStory.from_dict(data)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("story", "outcome", "sentence", "top"),
    [
        (day_story(pictures=0), "promoted", "On 400 held-out", "v0008 proved better and takes over from v0007."),
        (
            day_story(pictures=0, promoted=False),
            "kept",
            "The challenger gains 21",
            "v0007 stays: v0008 did not prove itself better.",
        ),
        (bare(), "undecided", "Not available: the step that tells it did not run.", "No challenger stood this night"),
        (bare(gate=Missing("too few frames")), "undecided", "too few frames", "No challenger stood this night"),
        (bare(steps=(failed("Train"),)), "failed", "Train failed. Still serving: v0007.", "The night is incomplete"),
        (bare(steps=tuple(map(failed, "ABC"))), "failed", "A, B and C failed.", "The night is incomplete"),
        (bare(steps=(StepResult("a", "A", "stopped"),)), "failed", "The loop was stopped", "The night is incomplete"),
        (bare(headline="Rain."), "undecided", "", "Rain."),
    ],
)
def test_verdict_and_headline__tell_the_day(story, outcome, sentence, top):
    assert verdict(story).outcome == outcome
    assert sentence in verdict(story).sentence
    assert headline(story).startswith(top)


def test_summarise_week__takes_the_serving_versions_numbers():
    days = [DAY - dt.timedelta(days=1), DAY]
    stories = [day_story(day=day, promoted=day == DAY, pictures=0) for day in reversed(days)]
    week = summarise_week("2026-W48", stories, "now", training_frames={DAY: 2000}, learned_before=1800)
    start = week.start
    assert (start.mcc_rendered.value, start.mcc_real.value, start.training_frames) == (0.712, 0.861, 1800)
    assert [d.day for d in week.days] == days
    assert [d.outcome for d in week.days] == ["kept", "promoted"]
    assert [d.mcc_rendered.value for d in week.days] == [0.712, 0.781]
    assert [d.mcc_real.value for d in week.days] == [0.861, 0.858]
    assert [d.training_frames for d in week.days] == [None, 2000]
    assert week.modes[0] == "rain"
    assert [d.champion for d in week.promotions] == ["v0008"]


def test_summarise_week__without_a_day():
    week = summarise_week("2026-W48", [], "now")
    assert week.days == () and week.start is None
    assert isinstance(week.honesty, Missing)


def test_traffic__zero_frames_is_a_story_too():
    assert Traffic(frames=0, said_roadwork=0, exits=()).frames == 0
