"""The day in one sentence and one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streetvision_core.loop.report.fields import Missing
from streetvision_core.loop.report.models import Change
from streetvision_core.loop.report.story import DayStory


@dataclass(frozen=True, slots=True)
class Verdict:
    """The banner.

    Attributes:
        outcome: decides colour and mark.
        label: two words.
        sentence: the weightiest reason.
    """

    outcome: Literal["promoted", "kept", "undecided", "quiet", "failed"]
    label: str
    sentence: str


def verdict(story: DayStory) -> Verdict:
    """What became of the challenger, or of the run."""
    failed = [step.title for step in story.steps if step.status == "failed"]
    stopped = [step for step in story.steps if step.status == "stopped"]
    if failed:
        return Verdict("failed", "Run incomplete", f"{_list(failed)} failed. {_serving(story)}")
    if stopped:
        return Verdict("failed", "Run stopped", f"The loop was stopped before it was done. {_serving(story)}")
    if story.quiet:
        return Verdict("quiet", "Nothing to learn", f"No query came and no person decided anything. {_serving(story)}")
    if isinstance(story.gate, Missing):
        return Verdict("undecided", "No decision", f"Not available: {story.gate.reason}. {_serving(story)}")
    reason = story.gate.reasons[0] if story.gate.reasons else "The gate gave no reason."
    if story.gate.promoted:
        return Verdict("promoted", "Promoted", reason)
    if story.gate.waits:
        return Verdict("kept", "Passed, waits", reason)
    return Verdict("kept", "Champion kept", reason)


def headline(story: DayStory) -> str:
    """The story's own sentence, or one written from the decision."""
    if story.headline:
        return story.headline
    outcome = verdict(story).outcome
    if outcome == "failed":
        return f"The night is incomplete; {story.champion} goes on serving."
    if outcome == "quiet":
        return f"A quiet night: nothing new to learn from; {story.champion} goes on serving."
    if isinstance(story.gate, Missing) or not isinstance(story.change, Change):
        return f"No challenger stood this night; {story.champion} goes on serving."
    if story.gate.promoted:
        return f"{story.change.challenger} proved better and takes over from {story.change.champion}."
    if story.gate.waits:
        return f"{story.change.challenger} passed the gate and waits; {story.change.champion} goes on serving."
    return f"{story.change.champion} stays: {story.change.challenger} did not prove itself better."


def _serving(story: DayStory) -> str:
    return f"Still serving: {story.champion}."


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
