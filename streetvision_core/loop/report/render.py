"""Writes the pages: the day's index, the weekly report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from streetvision_core.errors import ResultError
from streetvision_core.loop.report.charts import Scale, comparison_scales, line, scale_for, spread
from streetvision_core.loop.report.fields import Estimate
from streetvision_core.loop.report.headlines import headline, verdict
from streetvision_core.loop.report.models import Change
from streetvision_core.loop.report.pages import render_page
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.report.week import WeekStory
from streetvision_core.storage import atomic_write_json, atomic_write_text

if TYPE_CHECKING:
    from streetvision_core.loop.workspace import Night, Workspace

logger = structlog.get_logger(__name__)

MOST_PICTURES = 48
MOST_BYTES = 2 * 10**6


def day_page(story: DayStory) -> str:
    """The day's index page, one self-contained HTML text."""
    scales = comparison_scales(story.change.comparisons) if isinstance(story.change, Change) else []
    longest = max((step.seconds for step in story.steps), default=0.0) or 1.0
    return render_page(
        "day.html",
        title=f"StreetVision, {story.night or story.day}",
        story=story,
        headline=headline(story),
        verdict=verdict(story),
        scales=scales,
        longest=longest,
        most_pictures=MOST_PICTURES,
    )


def week_page(story: WeekStory) -> str:
    """The weekly page, one self-contained HTML text."""
    points = story.points
    y = scale_for([e for point in points for e in (point.mcc_rendered, point.mcc_real)])
    xs = spread(len(points))
    lines = [
        line("rendered, held out", 1, xs, [point.mcc_rendered for point in points], y),
        line("real photos", 2, xs, [point.mcc_real for point in points], y),
    ]
    return render_page(
        "week.html",
        title=f"StreetVision, {story.week}",
        story=story,
        y=y,
        xs=xs,
        lines=lines,
        labels=[*(["before"] if story.start else []), *(f"{day.day:%a %d}" for day in story.days)],
        curve=_learning_curve(story),
        most_of_a_mode=max((n for day in story.days for n in day.modes.values()), default=1) or 1,
    )


def write_day(story: DayStory, workspace: Workspace) -> Path:
    """Writes the night's page, and its story for the weekly report; returns the page's path.

    A run that failed after a good one leaves the good page in its place: its own page is written beside it, and the
    good one links it.

    Raises:
        StorageError: the disk is full.
    """
    night = story.night or story.day
    path = workspace.report_file(night)
    good = _good_story(workspace, night) if verdict(story).outcome == "failed" else None
    if good is not None:
        moment = "".join(c for c in story.generated_at[:19] if c.isalnum())
        failed = path.with_name(f"failed-{moment}.html")
        _write_page(failed, replace(story, good_run=path.name))
        links = (*good.failed_runs, *(() if failed.name in good.failed_runs else (failed.name,)))
        story = replace(good, failed_runs=links)
    _write_page(path, story)
    atomic_write_json(workspace.story_file(night), story.to_dict())
    return path if good is None else failed


def _write_page(path: Path, story: DayStory) -> None:
    text = day_page(story)
    if len(text.encode()) > MOST_BYTES:
        logger.warning("report_large", page=path.name, bytes=len(text.encode()), allowed=MOST_BYTES)
    atomic_write_text(path, text)


def _good_story(workspace: Workspace, night: Night) -> DayStory | None:
    """The story on the night's page where no step failed in it."""
    stories = read_stories(workspace, [night]) if workspace.report_file(night).is_file() else []
    return stories[0] if stories and verdict(stories[0]).outcome != "failed" else None


def write_week(story: WeekStory, workspace: Workspace) -> Path:
    """Writes the weekly page and returns its path; raises StorageError on a full disk."""
    path = workspace.weekly_file(story.week)
    atomic_write_text(path, week_page(story))
    return path


def read_stories(workspace: Workspace, days: Sequence[Night]) -> list[DayStory]:
    """The stories of those of the days that have one; an unreadable one is logged and left out."""
    stories = []
    for day in days:
        path = workspace.story_file(day)
        if not path.is_file():
            continue
        try:
            stories.append(DayStory.from_dict(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, ResultError) as error:
            logger.warning("story_unreadable", path=str(path), error=str(error))
    return stories


def _learning_curve(story: WeekStory) -> dict[str, object] | None:
    """Champion quality over the frames learned from, drawn when at least two points tell both."""
    days = [d for d in story.points if d.training_frames is not None and d.mcc_rendered is not None]
    if story.learning_curve is not None or len(days) < 2:
        return None
    days = sorted(days, key=lambda d: d.training_frames or 0)
    frames = [float(d.training_frames or 0) for d in days]
    x = Scale(min(frames), max(frames) if max(frames) > min(frames) else min(frames) + 1)
    y = scale_for([e for d in days for e in (d.mcc_rendered, d.mcc_real)])
    xs = [6 + 0.88 * x.percent(f) for f in frames]
    series: list[list[Estimate | None]] = [[d.mcc_rendered for d in days], [d.mcc_real for d in days]]
    lines = [line("rendered, held out", 1, xs, series[0], y), line("real photos", 2, xs, series[1], y)]
    return {"lines": lines, "y": y, "xs": xs, "labels": [f"{int(f):,}".replace(",", "\u202f") for f in frames]}
