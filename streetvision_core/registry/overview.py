"""What a person wants to see of a registry: every version with its state, one in detail, two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from streetvision_core.errors import ManifestError
from streetvision_core.registry import events as states
from streetvision_core.registry._store import ModelVersion
from streetvision_core.registry.age import AgeNotice
from streetvision_core.registry.events import CHANGES, Event
from streetvision_core.registry.manifest import read_manifest
from streetvision_core.registry.versions import Registry

REASON_CHARACTERS: Final = 160
_FACTS: Final = ("day", "profile", "learned_from", "made_by")


@dataclass(frozen=True, slots=True)
class Row:
    """One version of the list.

    Attributes:
        name: its name.
        state: e.g. `serves, champion`, `waits`, `refused`, `served before`, `imported`.
        created_at: when it was made, UTC.
        note: what it learned from, as its card says.
    """

    name: str
    state: str
    created_at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The list, and what else decides over what serves."""

    rows: tuple[Row, ...]
    notices: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        rows = [{**asdict(row), "created_at": row.created_at.isoformat()} for row in self.rows]
        return {"versions": rows, "notices": list(self.notices)}


def overview(registry: Registry, age: AgeNotice | None = None) -> Overview:
    """Every version, newest first; `age` is said where there is one."""
    history = registry.history()
    rows = [Row(v.name, state_of(v.name, history), v.created_at, note_of(v)) for v in reversed(registry.list())]
    return Overview(tuple(rows), (*notices(registry), *([age.text] if age else [])))


def state_of(name: str, history: Sequence[Event]) -> str:
    """What the history says of a version, in a word or two."""
    champion, pinned = states.champion_of(history), states.pinned_of(history)
    serving = pinned.version if pinned is not None else champion
    if name == champion:
        return "serves, champion" if name == serving else "champion"
    if name == serving:
        return "serves, pinned"
    if name in {event.version for event in states.waiting_of(history)}:
        return "waits"
    if name == states.challenger_of(history):
        return "challenger"
    if any(event.version == name and event.action in CHANGES for event in history):
        return "served before"
    last = next((event.action for event in reversed(history) if event.version == name), None)
    known = {"refuse": "refused", "pass": "passed before", "import": "imported", "challenge": "challenged before"}
    return known.get(str(last), "registered")


def notices(registry: Registry) -> tuple[str, ...]:
    """What waits, what is held and what is pinned, each with the command that changes it."""
    history = registry.history()
    hold, pinned = states.hold_of(history), states.pinned_of(history)
    lines = [
        f"{event.version} passed the gate and waits: streetvision versions approve {event.version}"
        for event in states.waiting_of(history)
    ]
    if hold is not None:
        lines.append(
            f"automatic promotion is on hold ({hold.action} by {hold.by}, {hold.time:%Y-%m-%d}): "
            "streetvision versions unhold"
        )
    if pinned is not None:
        lines.append(f"{pinned.version} is pinned by {pinned.by} and serves: streetvision versions unpin")
    return tuple(lines)


def note_of(version: ModelVersion) -> str:
    """What a version learned from, as its card says."""
    return str(version.card.get("learned_from") or version.card.get("made_by") or "")


def details(registry: Registry, name: str) -> dict[str, Any]:
    """One version, JSON-ready; `damage` says which file differs from the manifest, empty if none does."""
    version = registry.get(name, check=False)
    history = registry.history()
    try:
        registry.get(version.name)
        damage = ""
    except ManifestError as error:
        damage = str(error)
    return {
        "name": version.name,
        "state": state_of(version.name, history),
        "made": version.created_at.isoformat(timespec="seconds"),
        "digest": version.digest,
        "made with": " ".join(version.made_with or ("no head that can be read",)),
        "damage": damage,
        "card": dict(version.card),
        "files": {file: entry.bytes for file, entry in read_manifest(version.folder).files.items()},
        "events": [event.to_dict() for event in history if event.version == version.name],
    }


def differences(registry: Registry, first: str, second: str) -> dict[str, Any]:
    """Two versions side by side, with the last decision of the gate on the two, if there is one; JSON-ready."""
    pair = [registry.get(name) for name in (first, second)]
    history = registry.history()
    names = {version.name for version in pair}
    decision = next(
        (e.decision for e in reversed(history) if e.decision and {e.decision["champion"], e.version} == names), None
    )
    facts = [
        ("state", [state_of(v.name, history) for v in pair]),
        ("made", [v.created_at.isoformat(timespec="minutes") for v in pair]),
        ("made with", [" ".join(v.made_with or ("unknown",)) for v in pair]),
        *((name, [v.card.get(name, "") for v in pair]) for name in _FACTS),
        *((f"file {name}", [_digest(v, name) for v in pair]) for name in _files(pair)),
    ]
    rows = [{"what": what, "values": values, "equal": values[0] == values[1]} for what, values in facts]
    return {"versions": [v.name for v in pair], "rows": rows, "decision": decision}


def short_reason(event: Event) -> str:
    """The first sentences of a reason, as much as fits a line or two of a table."""
    text = event.reason
    return text if len(text) <= REASON_CHARACTERS else f"{text[: REASON_CHARACTERS - 1].rsplit(' ', 1)[0]} …"


def _files(pair: Sequence[ModelVersion]) -> list[str]:
    return sorted({name for version in pair for name in read_manifest(version.folder).files})


def _digest(version: ModelVersion, name: str) -> str:
    entry = read_manifest(version.folder).files.get(name)
    return entry.sha256[:12] if entry is not None else "absent"
