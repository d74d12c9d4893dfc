"""The week from the stories of its days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from streetvision_core.data.table import FeatureTable
from streetvision_core.loop.report.fields import Plot
from streetvision_core.loop.report.pictures import png_of_figure
from streetvision_core.loop.report.queries import Traffic
from streetvision_core.loop.report.render import read_stories
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.report.week import WeekStory, summarise_week
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MINED_FILE
from streetvision_core.loop.tasks.synthesis import SYNTHETIC_FILE
from streetvision_core.loop.workspace import last_complete_week, week_days


def build_week(day: Day, week: str = "") -> WeekStory:
    """Sums up an ISO week; days that have not run are left out.

    Args:
        day: whose workspace.
        week: such as `2026-W47`; empty: the last complete one before the day.
    """
    week = week or last_complete_week(day.date)
    dates = week_days(week)
    learned = {date: learned_frames(day, date) for date in dates}
    stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    stories = read_stories(day.workspace, dates)
    before = learned_frames(day, min(s.day for s in stories) - dt.timedelta(days=1)) if stories else None
    return summarise_week(
        week, stories, stamp, training_frames=learned, learned_before=before, plots=_mode_plots(stories)
    )


def _mode_plots(stories: Sequence[DayStory]) -> list[Plot]:
    """Right answers by failure mode over the days; nothing where no day knows the truth of any frame."""
    from streetvision_core.loop.plots import mode_accuracy

    told = [(s.day.isoformat(), s.traffic.by_mode) for s in stories if isinstance(s.traffic, Traffic)]
    told = sorted((day, by_mode) for day, by_mode in told if by_mode)
    if not told:
        return []
    last = ", ".join(f"{mode} {right} of {n}" for mode, (right, n) in told[-1][1].items())
    note = "Frames of known truth; a frame counts for each mode it shows. Bars: 95 % intervals."
    picture = png_of_figure(mode_accuracy(told), 90)
    return [Plot("Right answers by failure mode", picture, f"On the last day: {last}.", note)]


def learned_frames(day: Day, date: dt.date) -> int:
    """Mined and synthetic frames that a day's challenger could learn from, all days up to it."""
    folders = [f for f in (day.workspace.data / "days").glob("????-??-??") if f.name <= date.isoformat()]
    paths = [folder / name for folder in folders for name in (MINED_FILE, SYNTHETIC_FILE)]
    return sum(len(FeatureTable.load(path)) for path in paths if path.exists())
