"""One small workspace in which one day of the loop has run, as a user runs it: by the command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.small_world import SMALL, run_folder, share

REPOSITORY = Path(__file__).parents[2]


class Workspace:
    """A home of its own that shares the repository's notebooks and starter pack."""

    def __init__(self, home):
        self.home = home
        if not (home / "notebooks").exists():
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
def day(tmp_path_factory, worker_id):
    """A workspace after one demo day, run once for all workers; `first` is what the command printed."""
    shared = run_folder(tmp_path_factory, worker_id)
    with FileLock(shared / "day.lock"):
        told = shared / "day.json"
        if told.exists():
            workspace = Workspace(shared / "home")
        else:
            (shared / "home").mkdir()
            share(shared / "home", shared / "shared")
            workspace = Workspace(shared / "home")
            done = workspace.run("daily", "--demo", "--day", "2026-11-20", "--json")
            told.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    workspace.first = subprocess.CompletedProcess(["streetvision", "daily"], *json.loads(told.read_text()))
    return workspace


@pytest.fixture
def empty(tmp_path):
    """A workspace that has never been used."""
    return Workspace(tmp_path)
