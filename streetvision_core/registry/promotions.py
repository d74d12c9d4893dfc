"""The history of what served: one hash-chained line per event, from which the champion is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from streetvision_core.errors import RegistryError
from streetvision_core.registry import events
from streetvision_core.registry._records import append_record, read_records, salvage_records
from streetvision_core.registry.events import ACTIONS, CHANGES, Action, Event, Served

__all__ = ["ACTIONS", "CHANGES", "Action", "Event", "PromotionLog", "Served"]


class PromotionLog:
    """`promotions.jsonl`: append-only, every line on disk before it counts."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def history(self) -> tuple[Event, ...]:
        """Every event, oldest first.

        Raises:
            RegistryError: a line was edited, moved or removed.
        """
        return tuple(Event.from_dict(record) for record in read_records(self.path))

    def salvage(self) -> tuple[Event, ...]:
        """The events before the first damaged line; for answering on while the history waits for its backup."""
        return tuple(Event.from_dict(record) for record in salvage_records(self.path))

    def champion(self) -> str | None:
        """Name of the version that the gate compares with, None before the first."""
        return events.champion_of(self.history())

    def serving(self) -> str | None:
        """Name of the version that ought to serve: the pinned one, else the champion."""
        history = self.history()
        pinned = events.pinned_of(history)
        return pinned.version if pinned is not None else events.champion_of(history)

    def challenger(self) -> str | None:
        """Name of the version that wants to serve, if one is under test."""
        return events.challenger_of(self.history())

    def before(self) -> str | None:
        """The version a rollback goes back to."""
        stack = events.stack_of(self.history())
        return stack[-2] if len(stack) > 1 else None

    def served_at(self, time: datetime) -> Served | None:
        """What served at an aware time, and why; None if that was before the first version.

        Raises:
            RegistryError: a time without a zone.
        """
        if time.tzinfo is None:
            raise RegistryError(f"{time.isoformat()}, a time without zone", "an aware time", "add a zone, e.g. +00:00")
        return next((p for p in reversed(events.periods_of(self.history())) if p.since <= time), None)

    def append(
        self,
        action: Action,
        version: str,
        *,
        by: str,
        reason: str,
        now: datetime,
        decision: Mapping[str, Any] | None = None,
        sha256: str = "",
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
            previous=events.champion_of(history),
            by=by,
            reason=reason,
            decision=decision,
            protocol_changed=_protocol_changed(history, decision),
            sha256=sha256,
        )
        append_record(self.path, event.to_dict())
        return event


def _protocol_changed(history: tuple[Event, ...], decision: Mapping[str, Any] | None) -> bool:
    earlier = [e.decision["protocol_sha256"] for e in history if e.decision is not None]
    return decision is not None and bool(earlier) and earlier[-1] != decision["protocol_sha256"]
