"""The week from the stories of its days."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from streetvision_core.learning.dataset import count_stream_rows
from streetvision_core.loop.report.fields import Plot
from streetvision_core.loop.report.pictures import png_of_figure
from streetvision_core.loop.report.queries import Traffic
from streetvision_core.loop.report.render import read_stories
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.report.week import WeekStory, summarise_week
from streetvision_core.loop.workspace import Workspace, last_complete_week, week_days
from streetvision_core.settings import Settings


def build_week(settings: Settings, week: str = "") -> WeekStory:
    """Sums up an ISO week; days on which no night ran are left out.

    Args:
        settings: the workspace.
        week: such as `2026-W47`; empty: the one that ended last, UTC.
    """
    workspace, now = Workspace.of(settings), dt.datetime.now(dt.UTC)
    week = week or last_complete_week(now.date())
    dates = week_days(week)
    stories = read_stories(workspace, dates)
    found = {date: learned_frames(workspace, date) for date in dates}
    learned = {date: frames for date, frames in found.items() if frames is not None}
    before = learned_frames(workspace, min(s.day for s in stories) - dt.timedelta(days=1)) if stories else None
    stamp = now.isoformat(timespec="seconds")
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


def learned_frames(workspace: Workspace, date: dt.date) -> int | None:
    """Rows of the stream that the newest night up to a date could learn from; None where no night built a dataset."""
    built = sorted((workspace.data / "days").glob("????-??-??/dataset.parquet"), reverse=True)
    newest = next((path for path in built if path.parent.name <= date.isoformat()), None)
    return None if newest is None else count_stream_rows(newest)
