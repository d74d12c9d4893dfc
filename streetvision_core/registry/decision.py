"""What may make a version the champion: a gate's decision, or a named person's override."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streetvision_core.errors import RegistryError
from streetvision_core.registry._records import canonical


def protocol_sha256(protocol: Mapping[str, Any]) -> str:
    """Hex sha256 of a test protocol; another threshold or rule gives another digest."""
    return hashlib.sha256(canonical(dict(protocol))).hexdigest()


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The gate's answer, with everything needed to follow it.

    Attributes:
        promote: True only if every part of the test was passed.
        reasons: plain sentences with their numbers.
        numbers: the same, machine-readable; includes `data_sha256` of the labels, groups and origins judged on.
        protocol: the pre-registered rules.
        protocol_sha256: their digest.
        champion: name of the version that served when the test ran; empty if not told.
        challenger: name of the version tested; empty if not told.
    """

    promote: bool
    reasons: tuple[str, ...]
    numbers: Mapping[str, Any]
    protocol: Mapping[str, Any]
    protocol_sha256: str
    champion: str = ""
    challenger: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "promote": self.promote,
            "reasons": list(self.reasons),
            "numbers": dict(self.numbers),
            "protocol": dict(self.protocol),
            "protocol_sha256": self.protocol_sha256,
            "champion": self.champion,
            "challenger": self.challenger,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GateDecision:
        """The inverse of `to_dict`."""
        return cls(**{**data, "reasons": tuple(data["reasons"])})

    def check(self, champion: str, challenger: str) -> None:
        """Refuses a decision that does not promote, was tampered with, or is about other versions.

        Args:
            champion: the version that serves now.
            challenger: the version to be promoted.

        Raises:
            RegistryError: says which of these it is.
        """
        if not self.promote:
            raise _refused(f"a decision to keep the champion: {' '.join(self.reasons)}")
        if self.protocol_sha256 != protocol_sha256(self.protocol):
            raise _refused(f"a decision whose protocol does not have the digest {self.protocol_sha256[:12]}")
        if self.challenger not in ("", challenger) or self.champion not in ("", champion):
            tested = f"{self.challenger or 'any'} against {self.champion or 'any'}"
            raise _refused(f"a decision on {tested}, while {challenger} is to follow {champion}")


@dataclass(frozen=True, slots=True)
class Override:
    """A person's decision to promote without the gate, kept with name and reason."""

    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or len(self.reason.split()) < 3:
            raise RegistryError(
                got=f"a decision by {self.by!r} because {self.reason!r}",
                allowed="a person's name and a reason of at least three words",
                action="say who decides and why; it is kept in the history for good",
            )


def _refused(got: str) -> RegistryError:
    return RegistryError(
        got=got,
        allowed="a promoting decision of the gate on exactly these two versions, or a named override",
        action="keep the champion, run the gate again on the two versions, or override with name and reason",
    )
