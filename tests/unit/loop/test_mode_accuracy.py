import base64
import datetime as dt
from dataclasses import replace

from streetvision_core.loop.plots import mode_accuracy
from streetvision_core.loop.report.build_week import _mode_plots
from streetvision_core.loop.report.queries import Traffic
from tests.unit.loop.stories import day_story


def story(day, by_mode):
    made = day_story()
    assert isinstance(made.traffic, Traffic)
    return replace(made, day=dt.date(2026, 11, day), traffic=replace(made.traffic, by_mode=by_mode))


def test_mode_plots__right_answers_over_the_days():
    stories = [story(21, {"night": (5, 10), "fog": (1, 3)}), story(20, {"night": (8, 10), "plain": (90, 100)})]
    [plot] = _mode_plots(stories)
    assert base64.b64decode(plot.png_base64).startswith(b"\x89PNG")
    assert plot.alt == "On the last day: night 5 of 10, fog 1 of 3."


def test_mode_plots__nothing_where_no_truth_is_known():
    assert _mode_plots([story(20, {})]) == []


def test_mode_accuracy__few_frames_give_no_point():
    days = [("2026-11-20", {"night": (8, 10)}), ("2026-11-21", {"night": (1, 2), "fog": (6, 6)})]
    figure = mode_accuracy(days)
    titles = {axis.get_title(): axis for axis in figure.axes}
    assert set(titles) == {"night (12 frames)", "fog (6 frames)"}
    points = titles["night (12 frames)"].lines[-1]
    assert list(points.get_ydata()) == [0.8]
