"""The workbench: FiftyOne over the day's frames, in a process of its own with a time limit.

Importing FiftyOne takes ten to twenty seconds and its database can hang, so one child process does all work of a day
and the loop never waits longer than it says. Where the workbench cannot run, `WorkbenchError` says why; the loop
reports it and goes on.

A person opens the result with `streetvision review`; see `review_app`.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from streetvision_core.errors import StreetVisionError, WorkbenchError, install_command
from streetvision_core.mining._child import end_session, last_words, start_child
from streetvision_core.mining._mongod import Mongod
from streetvision_core.mining._workbench_job import WorkbenchJob, WorkbenchResult, WorkbenchSample
from streetvision_core.storage import atomic_write_json

__all__ = ["WorkbenchJob", "WorkbenchResult", "WorkbenchSample", "environment", "run_workbench", "with_database"]

TIMEOUT_SECONDS: Final = 300.0


def environment(home: Path) -> dict[str, str]:
    """What has to be set before FiftyOne is imported: all its folders below `home`, nothing sent anywhere."""
    folders = {
        "FIFTYONE_DATABASE_DIR": "db",
        "FIFTYONE_DEFAULT_DATASET_DIR": "datasets",
        "FIFTYONE_DATASET_ZOO_DIR": "zoo/datasets",
        "FIFTYONE_MODEL_ZOO_DIR": "zoo/models",
        "FIFTYONE_PLUGINS_DIR": "plugins",
        "FIFTYONE_CONFIG_PATH": "config.json",
        "FIFTYONE_APP_CONFIG_PATH": "app_config.json",
    }
    switches = {"FIFTYONE_DO_NOT_TRACK": "true", "FIFTYONE_SHOW_PROGRESS_BARS": "false", "HF_HUB_OFFLINE": "1"}
    return {name: str(home.resolve() / folder) for name, folder in folders.items()} | switches


def run_workbench(job: WorkbenchJob, home: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> WorkbenchResult:
    """Does all work of a day in a child process.

    Args:
        job: the day.
        home: FiftyOne's folder in the workspace, e.g. `data/fiftyone`; database, job files and logs lie below.
        timeout_seconds: after this time the child and its database are ended.

    Raises:
        WorkbenchError: FiftyOne is not installed, its database cannot start, or the work failed or took too long.
    """
    require_fiftyone()
    folder = home.resolve() / "jobs" / job.day
    try:
        job.save(folder)
        (folder / "result.json").unlink(missing_ok=True)
        code = _run_child(folder, home, timeout_seconds)
    except (OSError, StreetVisionError) as error:
        if isinstance(error, WorkbenchError):
            raise
        raise _failed(str(error), f"mend {folder}") from error
    return _read_result(folder, code)


def require_fiftyone() -> None:
    """Raises `WorkbenchError` with the command that installs FiftyOne, where it is missing."""
    if find_spec("fiftyone") is None:
        raise _failed("no package fiftyone", f"run: {install_command('workbench')}")


def with_database(home: Path) -> None:
    """Starts the database below `home` for this process and tells FiftyOne, which must not yet be imported."""
    if "FIFTYONE_DATABASE_URI" not in os.environ:
        database = Mongod(home / "db")
        # Registered before fiftyone is imported, so that it runs after fiftyone's own clean-up at exit.
        atexit.register(database.stop)
        os.environ["FIFTYONE_DATABASE_URI"] = database.uri


def main(folder: Path, home: Path) -> int:
    """The child's side: database, FiftyOne, the day's work; the result or the error goes to `result.json`."""
    try:
        with_database(home)
        started = time.perf_counter()
        from streetvision_core.mining._fiftyone_work import work

        imported = time.perf_counter() - started
        result = work(WorkbenchJob.load(folder)).to_dict()
        result["seconds"]["import"] = round(imported, 3)
    except StreetVisionError as error:
        atomic_write_json(folder / "result.json", error.to_dict())
        return 1
    except Exception as error:
        # Whatever FiftyOne raises is the loop's to report, not to die of.
        reason = f"{type(error).__name__}: {error}"[:500]
        atomic_write_json(folder / "result.json", _failed(reason, f"read {folder / 'log.txt'}").to_dict())
        raise
    atomic_write_json(folder / "result.json", result)
    return 0


def _run_child(folder: Path, home: Path, timeout_seconds: float) -> int:
    child = start_child(__name__, [str(folder), str(home.resolve())], folder / "log.txt", environment(home))
    try:
        return child.wait(timeout_seconds)
    except subprocess.TimeoutExpired:
        raise _failed(
            f"no end after {timeout_seconds:g} s; {last_words(folder / 'log.txt')}",
            "give it more time, fewer frames, or set SV_MINING__WORKBENCH=off",
        ) from None
    finally:
        end_session(child)


def _read_result(folder: Path, code: int) -> WorkbenchResult:
    try:
        data: Mapping[str, object] = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError) as error:
        raise _failed(
            f"exit code {code} and no result; {last_words(folder / 'log.txt')}", f"read {folder / 'log.txt'}"
        ) from error
    if "error" in data:
        raise WorkbenchError(str(data["got"]), str(data["allowed"]), str(data["do"]), folder=str(folder))
    return WorkbenchResult.from_dict(data)


def _failed(got: str, action: str) -> WorkbenchError:
    return WorkbenchError(got, "a FiftyOne run that ends in time", f"{action}; the loop can go on without it")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
