"""What this machine has and lacks to run StreetVision, and what to do about it.

Example:
    >>> from streetvision_core.settings import load_settings
    >>> report = doctor(load_settings("embedded"), only=("python",))
    >>> report.status, report.exit_code
    ('ok', 0)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streetvision_core.errors import SettingsError
from streetvision_core.ops import _machine, _project
from streetvision_core.ops._check import Check, Status
from streetvision_core.settings import Settings

CHECKS: Final[dict[str, Callable[[Settings], Check]]] = {
    "python": _machine.python,
    "disk": _machine.disk,
    "memory": _machine.memory,
    "packages": _project.packages,
    "weights": _project.weights,
    "models": _project.models,
    "starter pack": _project.starter,
    "workspace": _project.workspace,
    "registry": _project.registry,
    "workbench": _project.workbench,
    "gpu": _machine.gpu,
    "ports": _machine.ports,
    "servers": _machine.servers,
    "streets": _project.streets,
}
_WORST: Final[tuple[Status, ...]] = ("fail", "warn", "ok")


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """All checks of one run."""

    profile: str
    checks: tuple[Check, ...]

    @property
    def status(self) -> Status:
        """The worst status among the checks."""
        found = {check.status for check in self.checks}
        return next((status for status in _WORST if status in found), "ok")

    @property
    def exit_code(self) -> int:
        """1 if something must be mended before the loop can run, else 0; warnings do not count."""
        return int(self.status == "fail")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        checks = [check.to_dict() for check in self.checks]
        return {"profile": self.profile, "status": self.status, "exit_code": self.exit_code, "checks": checks}


def doctor(settings: Settings, only: Sequence[str] | None = None) -> DoctorReport:
    """Runs the checks; nothing is started, installed or changed.

    Args:
        settings: the profile's settings.
        only: names of checks; None runs all.

    Raises:
        SettingsError: an unknown check.
    """
    names = tuple(CHECKS) if only is None else tuple(only)
    for name in names:
        if name not in CHECKS:
            raise SettingsError(f"the check {name!r}", ", ".join(CHECKS), "name one of them, or none for all")
    return DoctorReport(settings.profile, tuple(_run(name, settings) for name in names))


def _run(name: str, settings: Settings) -> Check:
    try:
        return CHECKS[name](settings)
    except Exception as error:  # a check that cannot look must not hide the others
        return Check(name, "warn", f"could not be checked: {type(error).__name__}: {error}", "report this as a bug")
