"""Where a notebook's night lies."""

from __future__ import annotations

from pathlib import Path

from streetvision_core.loop.workspace import Workspace, parse_night
from streetvision_core.settings import Settings


def night_folder(settings: Settings, day: str) -> Path:
    """The folder of a night: dataset, challenger, report sections.

    Args:
        settings: the workspace.
        day: `YYYY-MM-DD`, or a night's name; empty means today, UTC.

    Raises:
        LoopError: not a day.
    """
    return Workspace.of(settings).day_folder(parse_night(day)[1])
