"""One check's outcome."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Attributes:
        name: the check.
        status: `fail` must be mended before the loop can run; `warn` means it runs with less.
        found: what is there.
        action: what to do; empty if nothing.
    """

    name: str
    status: Status
    found: str
    action: str = ""

    def to_dict(self) -> dict[str, str]:
        """A JSON-ready form."""
        return asdict(self)


def graded(name: str, value_gib: float, fail_below: float, warn_below: float, found: str, action: str) -> Check:
    """A check on an amount in GiB."""
    if value_gib >= warn_below:
        return Check(name, "ok", found)
    return Check(name, "fail" if value_gib < fail_below else "warn", found, action)
