"""The week from the stories of its days."""

from __future__ import annotations

import datetime as dt

from streetvision_core.data.table import FeatureTable
from streetvision_core.loop.report.render import read_stories
from streetvision_core.loop.report.week import WeekStory, summarise_week
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MINED_FILE
from streetvision_core.loop.tasks.synthesis import SYNTHETIC_FILE
from streetvision_core.loop.workspace import week_days, week_of


def build_week(day: Day) -> WeekStory:
    """Sums up the week that the day lies in; days that have not run are left out."""
    week = week_of(day.date)
    dates = week_days(week)
    learned = {date: learned_frames(day, date) for date in dates}
    stamp = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return summarise_week(week, read_stories(day.workspace, dates), stamp, training_frames=learned)


def learned_frames(day: Day, date: dt.date) -> int:
    """Mined and synthetic frames that a day's challenger could learn from, all days up to it."""
    folders = [f for f in (day.workspace.data / "days").glob("????-??-??") if f.name <= date.isoformat()]
    paths = [folder / name for folder in folders for name in (MINED_FILE, SYNTHETIC_FILE)]
    return sum(len(FeatureTable.load(path)) for path in paths if path.exists())
