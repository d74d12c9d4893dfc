"""What the weekly report tells, and how it is summed up from the stories of the days."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from streetvision_core.loop.report.fields import Count, Estimate, Missing, Plot
from streetvision_core.loop.report.headlines import headline, verdict
from streetvision_core.loop.report.models import Change, Gate, Honesty
from streetvision_core.loop.report.queries import Hard, Traffic
from streetvision_core.loop.report.story import DayStory

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)

Outcome = Literal["promoted", "kept", "undecided", "quiet", "failed"]


@dataclass(frozen=True, slots=True, config=_CONFIG)
class DaySummary:
    """One day in the weekly table.

    Attributes:
        day: the day.
        outcome: `promoted`, `kept`, `undecided` (no gate), `quiet` (nothing to learn), or `failed` (a step failed).
        champion: version that serves after the day.
        headline: the day's sentence.
        frames: frames answered; None if unknown.
        mined: frames mined; None if unknown.
        mcc_rendered: MCC, on the rendered held-out set, of the version that serves after the day.
        mcc_real: the same on real TEST photos.
        training_frames: frames the challenger learned from; None if unknown.
        modes: failure mode to count among the mined.
        link: the day's page, relative to the weekly page.
    """

    day: dt.date
    outcome: Outcome
    champion: str
    headline: str = ""
    frames: Count | None = None
    mined: Count | None = None
    mcc_rendered: Estimate | None = None
    mcc_real: Estimate | None = None
    training_frames: Count | None = None
    modes: Mapping[str, Count] = field(default_factory=dict)
    link: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Start:
    """The version that served before the week's first day, so that the first day's step can be seen.

    Attributes:
        mcc_rendered: its MCC on the rendered held-out set.
        mcc_real: the same on real TEST photos.
        training_frames: frames of the stream that were there to learn from; None if unknown.
    """

    mcc_rendered: Estimate | None = None
    mcc_real: Estimate | None = None
    training_frames: Count | None = None


@dataclass(frozen=True, slots=True, config=_CONFIG)
class WeekStory:
    """A week as the report tells it.

    Attributes:
        week: the ISO week, e.g. `2026-W47`.
        profile: the settings profile.
        generated_at: ISO time, UTC.
        days: one per day that ran, oldest first.
        start: what served before them; None if no day tells.
        summary: one to three sentences; may be empty.
        learning_curve: a plot of quality over training frames; None: drawn from the days.
        plots: further plots.
        honesty: what is known, measured, estimated, unknown.
    """

    week: str
    profile: str
    generated_at: str
    days: tuple[DaySummary, ...]
    start: Start | None = None
    summary: str = ""
    learning_curve: Plot | None = None
    plots: tuple[Plot, ...] = ()
    honesty: Honesty | Missing = Missing("the week's stories hold none")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = TypeAdapter(WeekStory).dump_python(self, mode="json")
        return data

    @property
    def points(self) -> tuple[Start | DaySummary, ...]:
        """What served before the first day, where that is known, and after each day."""
        return (*((self.start,) if self.start else ()), *self.days)

    @property
    def promotions(self) -> tuple[DaySummary, ...]:
        """The days on which a challenger became champion."""
        return tuple(day for day in self.days if day.outcome == "promoted")

    @property
    def modes(self) -> tuple[str, ...]:
        """The failure modes of the week, the most frequent first."""
        total: Counter[str] = Counter()
        for day in self.days:
            total.update(day.modes)
        return tuple(name for name, _ in total.most_common())


def summarise_day(story: DayStory, training_frames: int | None = None) -> DaySummary:
    """One day's row from its story.

    The MCC rows are found among the comparisons: metric `MCC`, and `real` in the name of the set or not.
    """
    return DaySummary(
        day=story.day,
        outcome=verdict(story).outcome,
        champion=story.champion,
        headline=headline(story),
        frames=story.traffic.frames if isinstance(story.traffic, Traffic) else None,
        mined=story.hard.mined if isinstance(story.hard, Hard) else None,
        mcc_rendered=_mcc(story, real=False, before=not _promoted(story)),
        mcc_real=_mcc(story, real=True, before=not _promoted(story)),
        training_frames=training_frames,
        modes=dict(story.hard.modes) if isinstance(story.hard, Hard) else {},
        link=f"../{story.day.isoformat()}/index.html",
    )


def summarise_week(
    week: str,
    stories: Sequence[DayStory],
    generated_at: str,
    *,
    training_frames: Mapping[dt.date, int] | None = None,
    learned_before: int | None = None,
    plots: Sequence[Plot] = (),
) -> WeekStory:
    """The week from the stories of its days; profile and honesty are those of the last day.

    Args:
        week: the ISO week.
        stories: of the days that ran, in any order.
        generated_at: ISO time, UTC.
        training_frames: frames of the stream that each day's challenger could learn from.
        learned_before: the same before the first of the days.
        plots: further plots.
    """
    ordered = sorted(stories, key=lambda story: story.day)
    learned = training_frames or {}
    return WeekStory(
        week=week,
        profile=ordered[-1].profile if ordered else "none",
        generated_at=generated_at,
        days=tuple(summarise_day(story, learned.get(story.day)) for story in ordered),
        start=_start(ordered[0], learned_before) if ordered else None,
        plots=tuple(plots),
        honesty=ordered[-1].honesty if ordered else Missing("no night of this week has run"),
    )


def _start(first: DayStory, learned: int | None) -> Start | None:
    rendered, real = (_mcc(first, real=real, before=True) for real in (False, True))
    return None if rendered is None and real is None else Start(rendered, real, learned)


def _mcc(story: DayStory, *, real: bool, before: bool) -> Estimate | None:
    """The MCC of the version that served before the day's gate, or of its challenger."""
    if not isinstance(story.change, Change):
        return None
    rows = [c for c in story.change.comparisons if c.metric.upper() == "MCC" and ("real" in c.data.lower()) == real]
    if not rows:
        return None
    return rows[0].champion if before else rows[0].challenger


def _promoted(story: DayStory) -> bool:
    return isinstance(story.gate, Gate) and story.gate.promoted
