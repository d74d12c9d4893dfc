"""One line of the history, and what the lines say together: which version serves, waits, is held or pinned.

All of it is read from the events, so there is no second place that could disagree after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal, get_args

Action = Literal[
    "first",
    "promote",
    "approve",
    "override",
    "rollback",
    "challenge",
    "refuse",
    "pass",
    "hold",
    "unhold",
    "pin",
    "unpin",
    "import",
]
"""`challenge` names the challenger; `refuse` is the gate keeping the champion; `pass` is a challenger that passed the
gate and waits, for a person or because promotions are on hold; `CHANGES` make another version champion; `pin` lets a
version serve in the champion's place."""
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
CHANGES: Final[frozenset[Action]] = frozenset({"first", "promote", "approve", "override", "rollback"})
_HOLDS: Final[frozenset[Action]] = frozenset({"hold", "rollback"})
_RELEASES: Final[frozenset[Action]] = frozenset({"unhold", "promote"})
"""An automatic promotion cannot happen under a hold; in a chain written before there were holds it ends one."""
_TESTS: Final[frozenset[Action]] = frozenset({"challenge", "refuse", "pass", *(CHANGES - {"rollback"})})


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history.

    Attributes:
        seq: 1, 2, 3, …
        time: aware, UTC, strictly increasing even if the clock is set back.
        action: what happened.
        version: the version it happened to.
        previous: the champion before; None before the first.
        by: `gate`, `loop`, or a person's name.
        reason: why, in plain words.
        decision: the gate's decision, where there is one.
        protocol_changed: the gate's rules are not those of the gate's decision before.
        sha256: digest of the version's files; empty in lines written before it was kept.
    """

    seq: int
    time: datetime
    action: Action
    version: str
    previous: str | None
    by: str
    reason: str
    decision: Mapping[str, Any] | None = None
    protocol_changed: bool = False
    sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "time": self.time.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event:
        """The inverse of `to_dict`; the chain's own keys are left out, and what older lines lack has its default."""
        values = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        return cls(**{**values, "time": datetime.fromisoformat(data["time"])})


@dataclass(frozen=True, slots=True)
class Served:
    """Which version served at a time, and why.

    Attributes:
        version: its name.
        since: when it began to serve.
        until: when the next one did; None if it still serves.
        event: the line that put it into service, with reason and decision.
    """

    version: str
    since: datetime
    until: datetime | None
    event: Event


def champion_of(events: Sequence[Event]) -> str | None:
    """The version the gate compares with, None before the first."""
    return next((e.version for e in reversed(events) if e.action in CHANGES), None)


def pinned_of(events: Sequence[Event]) -> Event | None:
    """The event that pins a version in the champion's place, if one is pinned."""
    last = next((e for e in reversed(events) if e.action in ("pin", "unpin")), None)
    return last if last is not None and last.action == "pin" else None


def hold_of(events: Sequence[Event]) -> Event | None:
    """The event that keeps automatic promotion away, a hold or a rollback; None if nothing does."""
    last = next((e for e in reversed(events) if e.action in _HOLDS | _RELEASES), None)
    return last if last is not None and last.action in _HOLDS else None


def challenger_of(events: Sequence[Event]) -> str | None:
    """The version under test, if there is one."""
    last = next((e for e in reversed(events) if e.action in _TESTS), None)
    return last.version if last is not None and last.action == "challenge" else None


def waiting_of(events: Sequence[Event]) -> tuple[Event, ...]:
    """What passed the gate against today's champion and waits for a person, oldest first."""
    champion = champion_of(events)
    waiting: dict[str, Event] = {}
    for event in events:
        if event.action in CHANGES:
            waiting.clear()
        elif event.action in ("pass", "refuse"):
            waiting.pop(event.version, None)
            if event.action == "pass" and event.previous == champion:
                waiting[event.version] = event
    return tuple(waiting.values())


def stack_of(events: Sequence[Event]) -> tuple[str, ...]:
    """The champions as a stack, the present one last: promotions stack up, each rollback takes one off."""
    stack: list[str] = []
    for event in events:
        if event.action == "rollback" and event.version in stack:
            while stack[-1] != event.version:
                stack.pop()
        elif event.action in CHANGES:
            stack.append(event.version)
    return tuple(stack)


def periods_of(events: Sequence[Event]) -> tuple[Served, ...]:
    """Which version served when, oldest first; a pinned version serves in the champion's place."""
    begun: list[tuple[str, Event]] = []
    champion: str | None = None
    pinned: str | None = None
    for event in events:
        if event.action in CHANGES:
            champion = event.version
        elif event.action in ("pin", "unpin"):
            pinned = event.version if event.action == "pin" else None
        serving = pinned or champion
        if serving is not None and (not begun or begun[-1][0] != serving):
            begun.append((serving, event))
    ends = [event.time for _, event in begun[1:]] + [None]
    return tuple(Served(version, event.time, until, event) for (version, event), until in zip(begun, ends, strict=True))
