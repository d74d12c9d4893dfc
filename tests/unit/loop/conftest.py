"""A workspace of its own for every test, and the fixture notebooks."""

import datetime as dt
from pathlib import Path

import pytest

from streetvision_core.loop.runner import RunContext
from streetvision_core.loop.state import RunState
from streetvision_core.loop.workspace import Workspace
from streetvision_core.settings import Settings, load_settings

FIXTURES = Path(__file__).parents[2] / "notebooks" / "fixtures"
DAY = dt.date(2026, 11, 23)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    base = load_settings("embedded")
    return base.model_copy(update={"paths": base.paths.model_copy(update={"home": tmp_path})})


@pytest.fixture
def workspace(settings: Settings) -> Workspace:
    return Workspace.of(settings)


@pytest.fixture
def context(settings: Settings, workspace: Workspace) -> RunContext:
    state = RunState(workspace.run_file(DAY), "daily", DAY)
    return RunContext(settings, DAY, FIXTURES, state)
