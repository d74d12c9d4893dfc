"""One decision about one annotation, and which of several holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from streetvision_core.errors import DataError

Choice = Literal["accept", "flip", "set-aside", "tag"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
By = Literal["human", "machine"]
BY: Final[tuple[By, ...]] = get_args(By)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided about one annotation.

    Attributes:
        id: name of the query row.
        choice: `accept` the label, `flip` it, or `set-aside`: the frame is ambiguous and leaves the data. `tag` says
            nothing about the label; it only adds `tag`.
        tag: a word, usually a failure mode.
        reviewer: who.
        decided_at: when, ISO 8601; UTC unless it says otherwise.
        decided_by: whether `reviewer` is a person or a program.
        reason: why, in the reviewer's words.
    """

    id: str
    choice: Choice
    tag: str
    reviewer: str
    decided_at: str
    decided_by: By = "human"
    reason: str = ""


def moment(decision: Decision) -> datetime:
    """When it was decided, with a time zone."""
    when = datetime.fromisoformat(decision.decided_at)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def latest(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The decision that holds for each id: the latest one about its label.

    Raises:
        DataError: two different decisions about one frame bear the same time.
    """
    held: dict[str, Decision] = {}
    for decision in decisions:
        if decision.choice == "tag":
            continue
        other = held.get(decision.id)
        if other and other.choice != decision.choice and moment(other) == moment(decision):
            raise DataError(
                got=f"{other.choice} and {decision.choice} for {decision.id} at {decision.decided_at}",
                allowed="one decision per frame and moment",
                action="correct the later one's decided_at",
                id=decision.id,
            )
        if other is None or moment(decision) >= moment(other):
            held[decision.id] = decision
    return held


def tags_of(decisions: Iterable[Decision]) -> dict[str, frozenset[str]]:
    """All tags given to each id, by decisions of any kind."""
    tags: dict[str, set[str]] = {}
    for decision in decisions:
        if decision.tag:
            tags.setdefault(decision.id, set()).add(decision.tag)
    return {name: frozenset(given) for name, given in tags.items()}
