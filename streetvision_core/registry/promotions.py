"""The history of what served: one hash-chained line per event, from which the champion is read.

The champion is not stored anywhere else, so there is no second place that could disagree after a kill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

from streetvision_core.errors import RegistryError
from streetvision_core.registry._records import append_record, read_records

Action = Literal["first", "promote", "override", "rollback", "challenge", "refuse"]
"""`challenge` names the challenger; `refuse` is the gate keeping the champion; the others change what serves."""
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
CHANGES: Final[frozenset[Action]] = frozenset({"first", "promote", "override", "rollback"})


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

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "time": self.time.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event:
        """The inverse of `to_dict`; the chain's own keys are passed over."""
        values = {name: data[name] for name in cls.__slots__}
        return cls(**{**values, "time": datetime.fromisoformat(data["time"])})


@dataclass(frozen=True, slots=True)
class Served:
    """Which version served at a time, and why.

    Attributes:
        version: its name.
        since: when it became champion.
        until: when the next one did; None if it still serves.
        event: the line that made it champion, with reason and decision.
    """

    version: str
    since: datetime
    until: datetime | None
    event: Event


class PromotionLog:
    """`promotions.jsonl`: append-only, every line on disk before it counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def history(self) -> tuple[Event, ...]:
        """Every event, oldest first.

        Raises:
            RegistryError: a line was edited.
        """
        return tuple(Event.from_dict(record) for record in read_records(self.path))

    def champion(self) -> str | None:
        """Name of the version that serves, None before the first."""
        changes = [e for e in self.history() if e.action in CHANGES]
        return changes[-1].version if changes else None

    def challenger(self) -> str | None:
        """Name of the version that wants to serve, if one is under test."""
        last = next((e for e in reversed(self.history()) if e.action != "rollback"), None)
        return last.version if last is not None and last.action == "challenge" else None

    def before(self) -> str | None:
        """The version a rollback goes back to: promotions stack up, each rollback takes one off."""
        stack: list[str] = []
        for event in self.history():
            if event.action == "rollback" and event.version in stack:
                while stack[-1] != event.version:
                    stack.pop()
            elif event.action in CHANGES:
                stack.append(event.version)
        return stack[-2] if len(stack) > 1 else None

    def served_at(self, time: datetime) -> Served | None:
        """What served at an aware time, and why; None if that was before the first version.

        Raises:
            RegistryError: a time without a zone.
        """
        if time.tzinfo is None:
            raise RegistryError(f"{time.isoformat()}, a time without zone", "an aware time", "add a zone, e.g. +00:00")
        found: Event | None = None
        for event in self.history():
            if event.action not in CHANGES:
                continue
            if event.time > time:
                return Served(found.version, found.time, event.time, found) if found else None
            found = event
        return Served(found.version, found.time, None, found) if found else None

    def append(
        self,
        action: Action,
        version: str,
        *,
        by: str,
        reason: str,
        now: datetime,
        decision: Mapping[str, Any] | None = None,
    ) -> Event:
        """Writes one event; the caller holds the registry's lock and has checked that it is allowed."""
        history = self.history()
        time = now.astimezone(UTC)
        if history:
            time = max(time, history[-1].time + timedelta(microseconds=1))
        event = Event(
            seq=len(history) + 1,
            time=time,
            action=action,
            version=version,
            previous=self.champion(),
            by=by,
            reason=reason,
            decision=decision,
            protocol_changed=_protocol_changed(history, decision),
        )
        append_record(self.path, event.to_dict())
        return event


def _protocol_changed(history: tuple[Event, ...], decision: Mapping[str, Any] | None) -> bool:
    earlier = [e.decision["protocol_sha256"] for e in history if e.decision is not None]
    return decision is not None and bool(earlier) and earlier[-1] != decision["protocol_sha256"]
