"""What a day tells: each task leaves its section on disk, the story is put together from what is there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from streetvision_core.loop.nights import Snapshot
from streetvision_core.loop.report.fields import Missing, Plot
from streetvision_core.loop.report.pictures import png_of_figure
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.state import RunState
from streetvision_core.loop.steps import StepResult
from streetvision_core.loop.tasks.day import Day
from streetvision_core.storage import atomic_write_json

SECTIONS = ("traffic", "hard", "doubts", "change", "gate", "bands", "real", "challenge", "memory", "drift", "honesty")


def save_section(night: Path, section: str, content: Any) -> None:
    """Keeps one section of a night's report, a dataclass of `loop.report`, in the night's folder."""
    if section not in SECTIONS:
        raise KeyError(section)
    path = night / "story" / f"{section}.json"
    atomic_write_json(path, TypeAdapter(type(content)).dump_python(content, mode="json"))


def save_plot(night: Path, name: str, figure: Any, title: str, alt: str, note: str = "") -> None:
    """Keeps a matplotlib figure for a night's page."""
    plot = Plot(title, png_of_figure(figure, 90), alt, note)
    path = night / "story" / "plots" / f"{name}.json"
    atomic_write_json(path, TypeAdapter(Plot).dump_python(plot, mode="json"))


def tell(day: Day, section: str, content: Any) -> None:
    """`save_section` for a notebook that opens a `Day`."""
    save_section(day.folder, section, content)


def show(day: Day, name: str, figure: Any, title: str, alt: str, note: str = "") -> None:
    """`save_plot` for a notebook that opens a `Day`."""
    save_plot(day.folder, name, figure, title, alt, note)


def build_story(
    day: Day,
    steps: Sequence[StepResult] | None = None,
    summary: str = "",
    *,
    snapshot: Snapshot | None = None,
    quiet: bool = False,
) -> DayStory:
    """Puts the day's story together; a section that no task has told is shown as missing.

    Args:
        day: the day.
        steps: what became of the steps; None reads the day's run state.
        summary: sentences below the headline.
        snapshot: what the night works on; None takes the one it began with, if it did.
        quiet: there was nothing to learn, and no step ran.
    """
    snapshot = snapshot or day.snapshot
    if steps is None:
        night = day.name or day.date
        steps = RunState(day.workspace.run_file(night), "daily", night).results()
    failed = {step.name: step.note for step in steps if not step.finished}
    told = {} if quiet else {name: _read(day, name, failed) for name in SECTIONS}
    plots = [] if quiet else [json.loads(path.read_text()) for path in sorted((_folder(day) / "plots").glob("*.json"))]
    champion = day.registry.champion()
    return DayStory.from_dict(
        {
            "day": day.date.isoformat(),
            "night": day.name,
            "covers": covers(snapshot) if snapshot else "",
            "quiet": quiet,
            "profile": day.settings.profile,
            "generated_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "champion": champion.name if champion else "none yet",
            "summary": summary,
            "steps": [step.to_dict() for step in steps],
            "plots": plots or {"reason": "no step has drawn one"},
            **told,
        }
    )


def covers(snapshot: Snapshot) -> str:
    """Which queries a night works on, as a sentence.

    Example:
        >>> covers(Snapshot("2026-11-24", 5, 9, 0, ("2026-11-23",), "2026-11-24T02:00:00+00:00", "a1"))
        'Queries logged since the night before it, up to 2026-11-24 02:00 UTC: of 23 November 2026.'
    """
    days = _days([dt.date.fromisoformat(day) for day in snapshot.days])
    if not snapshot.moves_cursor:
        return f"Queries of past days, as it was asked for: {days}."
    upto = snapshot.started_at[:16].replace("T", " ")
    return f"Queries logged since the night before it, up to {upto} UTC: {days}."


def _days(days: Sequence[dt.date]) -> str:
    if not days:
        return "none"
    if len(days) == 1:
        return f"of {days[0]:%-d %B %Y}"
    if len(days) == (days[-1] - days[0]).days + 1 and len(days) > 2:
        return f"of {days[0]:%-d %B} to {days[-1]:%-d %B %Y}"
    return f"of {', '.join(f'{day:%-d %B}' for day in days[:-1])} and {days[-1]:%-d %B %Y}"


def _read(day: Day, section: str, failed: dict[str, str]) -> Any:
    path = _folder(day) / f"{section}.json"
    if path.exists():
        return json.loads(path.read_text())
    steps = ", ".join(failed) or "none failed"
    return TypeAdapter(Missing).dump_python(Missing(f"the step that tells it did not finish (unfinished: {steps})"))


def _folder(day: Day) -> Path:
    return day.folder / "story"
