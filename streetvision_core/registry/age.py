"""The 90-day clock: how old a version is and when it should be replaced.

The subnet's README claims that a model's reward decays over 90 days; no validator code does so (FACTS A6). The clock
is kept because streets, cameras and the challenge change, not because a chain punishes age.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from streetvision_core.errors import RegistryError
from streetvision_core.registry.versions import ModelVersion

NOTE: Final = "the 90-day decay is a claim of the subnet's README, not validator code; age is watched for drift"
AGEING_SHARE: Final = 0.8
_SECONDS_PER_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class AgeStatus:
    """How old a version is.

    Attributes:
        status: `ageing` from 80 % of the allowed age on, `expired` from 100 %.
        age_days: days since it was made.
        days_left: days until it expires; negative once it has.
        note: where the limit comes from.
    """

    status: Literal["fresh", "ageing", "expired"]
    age_days: float
    days_left: float
    note: str = NOTE

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        days = {"age_days": round(self.age_days, 2), "days_left": round(self.days_left, 2)}
        return {"status": self.status, **days, "note": self.note}


def age_status(version: ModelVersion, now: datetime, max_age_days: int = 90) -> AgeStatus:
    """The age of a version at an aware time.

    Raises:
        RegistryError: a time without zone.
    """
    if now.tzinfo is None:
        raise RegistryError(f"{now.isoformat()}, a time without zone", "an aware time", "add a zone, e.g. +00:00")
    age = max(0.0, (now - version.created_at).total_seconds() / _SECONDS_PER_DAY)
    status: Literal["fresh", "ageing", "expired"] = "fresh"
    if age >= max_age_days:
        status = "expired"
    elif age >= AGEING_SHARE * max_age_days:
        status = "ageing"
    return AgeStatus(status, age, max_age_days - age)
