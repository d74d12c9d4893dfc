"""Where each setting in force comes from.

Example:
    >>> policy = next(one for one in explain_settings("embedded") if one.key == "cascade.policy")
    >>> policy.value, policy.variable
    ('"certified"', 'SV_CASCADE__POLICY')
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from streetvision_core.settings import (
    ENV_PREFIX,
    SECRETS,
    has_setting,
    load_settings,
    profile_values,
    variable_of,
)
from streetvision_core.workspace import FILE, find_workspace, read_workspace_file


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting: its key `section.name`, its value as text, where that comes from, and its variable."""

    key: str
    value: str
    source: str
    variable: str
    description: str

    def to_dict(self) -> dict[str, str]:
        """A JSON-ready form."""
        return asdict(self)


def explain_settings(profile: str | None = None) -> list[Explained]:
    """Every setting in force and where it comes from, in the order of the sections.

    Raises:
        SettingsError: as `load_settings`.
    """
    settings = load_settings(profile)
    home = find_workspace().home
    written, below = read_workspace_file(home), profile_values(settings.profile)
    rows = []
    for loc, value, description in _leaves(settings, ()):
        source = _explain_source(loc, home, written, below, settings.profile, profile)
        variable = f"{ENV_PREFIX}{'__'.join(loc).upper()}"
        text = "hidden" if loc[-1] in SECRETS and value else json.dumps(to_jsonable_python(value))
        rows.append(Explained(".".join(loc), text, source, variable, description))
    return rows


def _leaves(section: BaseModel, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value, field.description or ""


def _explain_source(
    loc: tuple[str, ...],
    home: Path,
    written: dict[str, Any],
    below: dict[str, Any],
    name: str,
    asked: str | None,
) -> str:
    if loc == ("profile",) and asked:
        return "--profile"
    if loc == ("paths", "home"):
        return "the workspace this command works in"
    if variable := variable_of(loc):
        return f"the variable {variable}"
    if has_setting(written, loc):
        return str(home / FILE)
    return f"the profile {name!r}" if has_setting(below, loc) else "default"
