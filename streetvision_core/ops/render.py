"""Schedules for cron, systemd and PM2, rendered from one set of values.

Example:
    >>> texts = render_schedules("/opt/streetvision", "/opt/streetvision/.venv/bin/python")
    >>> print(texts["streetvision-daily.timer"].splitlines()[4])
    OnCalendar=*-*-* 02:30:00
"""

from __future__ import annotations

import json
import re
import shlex
from importlib import resources
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

import yaml

from streetvision_core.errors import SettingsError
from streetvision_core.settings import profile_names
from streetvision_core.storage import atomic_write_text

DEFAULT_HOME: Final = "/opt/streetvision"
"""The home that the files in `deploy/` are rendered for."""
DEFAULT_PYTHON: Final = f"{DEFAULT_HOME}/.venv/bin/python"
_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_UNQUOTABLE: Final = frozenset("%$\"'\\`")
"""Cron, systemd and the shell each have another way to write these; a path can do without. Spaces are fine."""
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def render_schedules(
    home: str | Path,
    python: str | Path,
    *,
    profile: str = "embedded",
    user: str = "streetvision",
    daily: str = "02:30",
    weekly: str = "06:00",
) -> dict[str, str]:
    """Renders every schedule file.

    Args:
        home: the workspace, absolute; `data/` and `reports/` lie in it.
        python: interpreter of the environment, absolute; the command `streetvision` lies beside it.
        profile: the profile to run.
        user: who the systemd services run as.
        daily: local time HH:MM of the daily loop.
        weekly: local time HH:MM on Mondays of the weekly report.

    Returns:
        text by file name.

    Raises:
        SettingsError: a value that a schedule cannot hold.
    """
    _check(home, python, profile, user, daily, weekly)
    command = str(PurePosixPath(python).with_name("streetvision"))
    values = _values(str(home), command, profile, daily, weekly)
    templates = yaml.safe_load((resources.files("streetvision_core") / "ops" / "schedules.yaml").read_text())
    return {name: Template(text).substitute(values, systemd_user=user) for name, text in templates.items()}


def write_schedules(folder: Path, texts: dict[str, str]) -> list[Path]:
    """Writes rendered files, each by replace, and returns their paths."""
    for name, text in texts.items():
        atomic_write_text(folder / name, text)
    return [folder / name for name in texts]


def _values(home: str, command: str, profile: str, daily: str, weekly: str) -> dict[str, str]:
    (daily_hour, daily_minute), (weekly_hour, weekly_minute) = (
        (str(int(part)) for part in time.split(":")) for time in (daily, weekly)
    )
    return {
        "shell_home": shlex.quote(home),
        "shell_command": shlex.quote(command),
        "shell_log": shlex.quote(f"{home}/data/schedule.log"),
        "cron_profile": profile,
        "daily_hour": daily_hour,
        "daily_minute": daily_minute,
        "weekly_hour": weekly_hour,
        "weekly_minute": weekly_minute,
        "systemd_home": home,
        "systemd_home_variable": f'"SV_PATHS__HOME={home}"',
        "systemd_command": f'"{command}"',
        "systemd_profile": profile,
        "daily_time": f"{daily}:00",
        "weekly_time": f"{weekly}:00",
        "json_home": json.dumps(home),
        "json_command": json.dumps(command),
        "json_profile": json.dumps(profile),
        "json_daily_cron": json.dumps(f"{daily_minute} {daily_hour} * * *"),
        "json_weekly_cron": json.dumps(f"{weekly_minute} {weekly_hour} * * 1"),
    }


def _check(home: str | Path, python: str | Path, profile: str, user: str, daily: str, weekly: str) -> None:
    for name, path in (("home", str(home)), ("python", str(python))):
        if not PurePosixPath(path).is_absolute() or not path.isprintable() or set(path) & _UNQUOTABLE:
            raise SettingsError(
                got=f"{name} = {path!r}",
                allowed=f"an absolute path of printable characters without {' '.join(sorted(_UNQUOTABLE))}",
                action="give the full path, or move the workspace",
            )
    for name, time in (("daily", daily), ("weekly", weekly)):
        if not _TIME.fullmatch(time):
            raise SettingsError(f"{name} = {time!r}", "HH:MM from 00:00 to 23:59", "write for example 02:30")
    if not _USER.fullmatch(user):
        raise SettingsError(f"user = {user!r}", "a Unix user name", "name the user the loop runs as")
    if profile not in profile_names():
        raise SettingsError(f"profile = {profile!r}", ", ".join(profile_names()), "name one of them")
