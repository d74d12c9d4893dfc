"""A night's report: each step leaves its sections in the night's folder, the report is put together from them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from streetvision_core.loop.nights import Nights, Snapshot
from streetvision_core.loop.report.fields import Missing, Plot
from streetvision_core.loop.report.pictures import png_of_figure
from streetvision_core.loop.report.story import DayStory
from streetvision_core.loop.report.waiting import frames_that_wait
from streetvision_core.loop.state import RunState
from streetvision_core.loop.steps import StepResult
from streetvision_core.loop.workspace import Workspace, parse_night
from streetvision_core.mining.review_queue import ReviewQueue
from streetvision_core.registry.versions import open_registry
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_json

FROM_QUERIES: Final = ("hard", "doubts", "drift")
"""Sections that a night without queries does not have."""
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


def build_story(
    settings: Settings,
    night: str = "",
    steps: Sequence[StepResult] | None = None,
    summary: str = "",
    *,
    quiet: bool = False,
) -> DayStory:
    """Puts a night's report together; a section that no step has left is shown as missing.

    Args:
        settings: the workspace.
        night: its name; empty means the night of today, UTC.
        steps: what became of the steps; None reads the night's run state.
        summary: sentences below the headline.
        quiet: there was nothing to learn, and no step ran.
    """
    date, name = parse_night(night)
    workspace = Workspace.of(settings)
    folder, snapshot = workspace.day_folder(name) / "story", Nights(workspace.data).begun(name)
    if steps is None:
        steps = RunState(workspace.run_file(name), "daily", name).results()
    unfinished = [step.name for step in steps if not step.finished]
    mined = snapshot is None or snapshot.has_queries
    sections = {} if quiet else {name: _read(folder, name, unfinished, mined) for name in SECTIONS}
    plots = [] if quiet else [json.loads(path.read_text()) for path in sorted((folder / "plots").glob("*.json"))]
    champion = open_registry(settings).champion()
    return DayStory.from_dict(
        {
            "day": date.isoformat(),
            "night": "" if name == date.isoformat() else name,
            "covers": covers(snapshot) if snapshot else "",
            "waiting": frames_that_wait(ReviewQueue.of_data(workspace.data), dt.datetime.now(dt.UTC).date()),
            "quiet": quiet,
            "profile": settings.profile,
            "generated_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "champion": champion.name if champion else "none yet",
            "summary": summary,
            "steps": [step.to_dict() for step in steps],
            "plots": plots or {"reason": "no step has drawn one"},
            **sections,
        }
    )


def covers(snapshot: Snapshot) -> str:
    """Which queries a night works on, as a sentence.

    Example:
        >>> covers(Snapshot("2026-11-24", 5, 9, 0, ("2026-11-23",), "2026-11-24T02:00:00+00:00", "a1"))
        'It works on the queries of 23 November 2026: all logged by 2026-11-24 02:00 UTC that no earlier night had.'
    """
    days = _days([dt.date.fromisoformat(day) for day in snapshot.days])
    if not snapshot.moves_cursor:
        return f"It works on queries of past days, as it was asked to: {days or 'there are none'}."
    upto = snapshot.started_at[:16].replace("T", " ")
    if not days:
        return f"No query was logged by {upto} UTC that no earlier night had."
    return f"It works on the queries of {days}: all logged by {upto} UTC that no earlier night had."


def _days(days: Sequence[dt.date]) -> str:
    if not days:
        return ""
    if len(days) == 1:
        return f"{days[0]:%-d %B %Y}"
    if len(days) == (days[-1] - days[0]).days + 1 and len(days) > 2:
        return f"{days[0]:%-d %B} to {days[-1]:%-d %B %Y}"
    return f"{', '.join(f'{day:%-d %B}' for day in days[:-1])} and {days[-1]:%-d %B %Y}"


def _read(folder: Path, section: str, unfinished: Sequence[str], mined: bool) -> Any:
    path = folder / f"{section}.json"
    if path.exists():
        return json.loads(path.read_text())
    reason = f"the step that makes it did not finish (unfinished: {', '.join(unfinished) or 'none failed'})"
    if section in FROM_QUERIES and not mined:
        reason = "no query came this night"
    return TypeAdapter(Missing).dump_python(Missing(reason))
