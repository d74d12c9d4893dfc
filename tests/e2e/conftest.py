"""One small workspace in which one day of the loop has run, as a user runs it: by the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SMALL = {
    "SV_LOOP__QUERIES_PER_DAY": "40",
    "SV_LOOP__HELDOUT_FRAMES": "80",
    "SV_LOOP__SYNTHETIC_PER_DAY": "12",
    "SV_MINING__BUDGET": "20",
}


class Workspace:
    """A home of its own that shares the repository's notebooks and starter pack."""

    def __init__(self, home):
        self.home = home
        (home / "notebooks").symlink_to(REPOSITORY / "notebooks")

    def run(self, *arguments, timeout=900, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SV_")}
        environment |= SMALL | {"SV_PATHS__HOME": str(self.home), "COLUMNS": "160"} | variables
        command = [sys.executable, "-m", "streetvision_core", *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False, cwd=self.home
        )

    def json(self, *arguments, **variables):
        return json.loads(self.run(*arguments, "--json", **variables).stdout)


@pytest.fixture(scope="session")
def day(tmp_path_factory):
    """A workspace after one demo day; `first` is what the command printed."""
    workspace = Workspace(tmp_path_factory.mktemp("home"))
    workspace.first = workspace.run("daily", "--demo", "--day", "2026-11-20", "--json")
    return workspace


@pytest.fixture
def empty(tmp_path):
    """A workspace that has never been used."""
    return Workspace(tmp_path)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests that share the day run in one worker, so that the day runs once."""
    for item in items:
        if "day" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("day"))
