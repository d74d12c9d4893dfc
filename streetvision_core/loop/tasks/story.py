"""What a day tells: each task leaves its section on disk, the story is put together from what is there."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

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


def build_story(day: Day, steps: Sequence[StepResult] | None = None, summary: str = "") -> DayStory:
    """Puts the day's story together; a section that no task has told is shown as missing.

    Args:
        day: the day.
        steps: what became of the steps; None reads the day's run state.
        summary: sentences below the headline.
    """
    if steps is None:
        steps = RunState(day.workspace.run_file(day.date), "daily", day.date).results()
    failed = {step.name: step.note for step in steps if not step.finished}
    told = {name: _read(day, name, failed) for name in SECTIONS}
    plots = [json.loads(path.read_text()) for path in sorted((_folder(day) / "plots").glob("*.json"))]
    champion = day.registry.champion()
    return DayStory.from_dict(
        {
            "day": day.date.isoformat(),
            "profile": day.settings.profile,
            "generated_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "champion": champion.name if champion else "none yet",
            "summary": summary,
            "steps": [step.to_dict() for step in steps],
            "plots": plots or {"reason": "no step has drawn one"},
            **told,
        }
    )


def _read(day: Day, section: str, failed: dict[str, str]) -> Any:
    path = _folder(day) / f"{section}.json"
    if path.exists():
        return json.loads(path.read_text())
    steps = ", ".join(failed) or "none failed"
    return TypeAdapter(Missing).dump_python(Missing(f"the step that tells it did not finish (unfinished: {steps})"))


def _folder(day: Day) -> Path:
    return day.folder / "story"
