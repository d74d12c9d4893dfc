"""The age clock: how old the serving version is, and the days on which that is said, everywhere from one list.

The subnet's README claims that a model's reward decays over 90 days; no validator code does so (FACTS A6). The clock
is kept because streets, cameras and the challenge change, not because a chain punishes age.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError, RegistryError
from streetvision_core.registry.versions import Registry
from streetvision_core.storage import atomic_write_json

DAYS_BEFORE: Final = (20, 15, 10, 5, 0)
"""An age is said this many days before the limit, and on it."""
NOTICE_FILE: Final = "age-notices.json"
_SECONDS_PER_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class AgeNotice:
    """What is to be said of the serving version's age.

    Attributes:
        version: its name.
        age_days: days since it was made.
        reached_days: the last day of the list that it has reached.
        max_age_days: the limit (`gate.max_age_days`).
    """

    version: str
    age_days: float
    reached_days: int
    max_age_days: int

    @property
    def expired(self) -> bool:
        """Whether it is as old as it may get."""
        return self.reached_days >= self.max_age_days

    @property
    def text(self) -> str:
        """One sentence."""
        old = f"The serving version {self.version} is {self.age_days:.0f} days old"
        if self.expired:
            return f"{old}; it should have been replaced at {self.max_age_days} days (gate.max_age_days)."
        left = self.max_age_days - self.age_days
        return f"{old}; it should be replaced within {left:.0f} days (gate.max_age_days: {self.max_age_days})."

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "expired": self.expired, "text": self.text}


def notice_days(max_age_days: int = 90) -> tuple[int, ...]:
    """The days on which the age of a version is said.

    Example:
        >>> notice_days()
        (70, 75, 80, 85, 90)
    """
    return tuple(max_age_days - before for before in DAYS_BEFORE if max_age_days > before)


def reached_days(age_days: float, max_age_days: int = 90) -> int:
    """The last day of the list that an age has reached, 0 before the first.

    Example:
        >>> reached_days(69.9), reached_days(79), reached_days(120)
        (0, 75, 90)
    """
    return max((day for day in notice_days(max_age_days) if age_days >= day), default=0)


def days_since(created: datetime, now: datetime) -> float:
    """Days between two aware times; 0 where the first lies ahead."""
    return max(0.0, (now - created).total_seconds() / _SECONDS_PER_DAY)


def age_notice(registry: Registry, now: datetime, max_age_days: int = 90) -> AgeNotice | None:
    """What is to be said of the serving version's age.

    Args:
        registry: says what serves.
        now: an aware time.
        max_age_days: `gate.max_age_days`.

    Returns:
        The notice; None while the version is young, where nothing serves, and where the registry cannot be read.

    Raises:
        RegistryError: a time without a zone.
    """
    if now.tzinfo is None:
        raise RegistryError(f"{now.isoformat()}, a time without zone", "an aware time", "add a zone, e.g. +00:00")
    try:
        version = registry.serving()
    except (RegistryError, ManifestError):
        return None
    if version is None:
        return None
    age = days_since(version.created_at, now)
    reached = reached_days(age, max_age_days)
    return AgeNotice(version.name, round(age, 2), reached, max_age_days) if reached else None


def said_before(registry: Registry, notice: AgeNotice) -> bool:
    """Whether this day of this version, or a later one, was sent before."""
    return _read(registry.root / NOTICE_FILE).get(notice.version, 0) >= notice.reached_days


def record_notice(registry: Registry, notice: AgeNotice) -> bool:
    """Notes that a notice was sent, so that each day of the list is sent once per version.

    Returns:
        Whether it is new: False where this day of this version, or a later one, was sent before.
    """
    if said_before(registry, notice):
        return False
    path = registry.root / NOTICE_FILE
    atomic_write_json(path, {**_read(path), notice.version: notice.reached_days})
    return True


def _read(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(days) for name, days in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # at worst a notice is sent twice
