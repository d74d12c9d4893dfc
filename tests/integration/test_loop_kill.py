"""A loop that is killed, stopped, doubled, or out of disk, and the run after it."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from streetvision_core.errors import LoopBusyError, StorageError
from streetvision_core.loop import fingerprint
from streetvision_core.loop.pipeline import Pipeline, run_pipeline
from streetvision_core.loop.state import RunState
from streetvision_core.loop.steps import Step
from streetvision_core.loop.workspace import Workspace
from streetvision_core.settings import load_settings

FIXTURES = Path(__file__).parents[1] / "notebooks" / "fixtures"
DAY = dt.date(2026, 11, 23)
pytestmark = pytest.mark.slow
GIVEN = {"COUNT": 1, "LABEL": "a"}
GOOD = {"DAY": str, "COUNT": int, "LABEL": str}
PIPELINE = Pipeline(
    "daily",
    FIXTURES,
    (
        Step("first", "good.ipynb", "First", GOOD),
        Step("waits", "waits.ipynb", "Waits", {"DAY": str}, ("first",)),
        Step("last", "good.ipynb", "Last", GOOD, ("waits",)),
    ),
)

CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import test_loop_kill as t
t.fingerprint.package_sha256 = lambda folder: "fixed"
sys.exit(t.run_pipeline(t.PIPELINE, t.DAY, t.settings_in(t.Path(sys.argv[2])), parameters=t.GIVEN).exit_code)
"""


def settings_in(home):
    base = load_settings("embedded")
    return base.model_copy(update={"paths": base.paths.model_copy(update={"home": home})})


@pytest.fixture(autouse=True)
def fixed_package(monkeypatch):
    monkeypatch.setattr(fingerprint, "package_sha256", lambda _folder: "fixed")


@pytest.fixture
def loop(tmp_path):
    """A loop in a process of its own, in the middle of its second step."""
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path)])
    wait_until(lambda: (tmp_path / "waiting.pid").exists() and (tmp_path / "waiting.pid").read_text())
    yield process
    process.kill()
    process.wait()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def state_of(home):
    return RunState(Workspace.of(settings_in(home)).run_file(DAY), "daily", DAY)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_kill_9__next_run_resumes_at_the_first_unfinished_step(loop, tmp_path):
    kernel = int((tmp_path / "waiting.pid").read_text())
    loop.kill()
    loop.wait()
    assert [(s.name, s.status) for s in state_of(tmp_path).results()] == [("first", "done"), ("waits", "running")]

    (tmp_path / "go").touch()
    result = run_pipeline(PIPELINE, DAY, settings_in(tmp_path), parameters=GIVEN)
    assert [(s.name, s.status) for s in result.steps] == [("first", "skipped"), ("waits", "done"), ("last", "done")]
    assert result.exit_code == 0
    assert (tmp_path / "ran-a.txt").read_text().count("2026-11-23") == 2  # `first` once, `last` once
    assert gone(kernel)
    steps = Workspace.of(settings_in(tmp_path)).steps_folder(DAY)
    assert not [p.name for p in steps.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal__kernel_is_down_state_saved_and_exit_code_tells(loop, tmp_path, number, code):
    kernel = int((tmp_path / "waiting.pid").read_text())
    os.kill(loop.pid, number)
    assert loop.wait(20) == code
    assert gone(kernel)
    assert [(s.name, s.status) for s in state_of(tmp_path).results()] == [("first", "done"), ("waits", "stopped")]
    assert not (tmp_path / "data" / "loop.holder.json").exists()


def test_two_loops__second_is_refused_at_once(loop, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
        with pytest.raises(LoopBusyError, match=f"daily 2026-11-23 of .*, process {loop.pid} on .*, since 20"):
            run_pipeline(PIPELINE, DAY, settings_in(tmp_path), parameters=GIVEN)
    assert loop.poll() is None
    (tmp_path / "go").touch()
    assert loop.wait(60) == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with 2 MiB, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_full_disk__state_is_kept_and_the_run_resumes(small_disk):
    settings = settings_in(small_disk)
    steps = (
        Step("first", "good.ipynb", "First", GOOD),
        Step("fills", "fills.ipynb", "Fills", {"DAY": str}, ("first",)),
    )
    with pytest.raises(StorageError, match="No space left on device"):
        run_pipeline(Pipeline("daily", FIXTURES, steps), DAY, settings, parameters=GIVEN)
    assert [(s.name, s.status) for s in state_of(small_disk).results()] == [("first", "done"), ("fills", "running")]

    (small_disk / "ballast").unlink()
    mended = (steps[0], Step("fills", "good.ipynb", "Filled", GOOD, ("first",)))
    result = run_pipeline(Pipeline("daily", FIXTURES, mended), DAY, settings, parameters=GIVEN)
    assert [s.status for s in result.steps] == ["skipped", "done"]
