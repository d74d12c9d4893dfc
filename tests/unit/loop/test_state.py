import errno
import json
import os

import pytest

from streetvision_core.errors import StorageError
from streetvision_core.loop.state import RunState
from streetvision_core.loop.steps import StepResult

from .conftest import DAY


def done(name, **more):
    return StepResult(name, name.title(), "done", seconds=1.23456, attempts=1, result={"n": 1}, **more)


def test_run_state__comes_back(tmp_path):
    state = RunState(tmp_path / "days" / "run.json", "daily", DAY)
    state.set(done("mine", fingerprint="f"))
    state.set(StepResult("train", "Train", "running"), running_mark="m1")
    again = RunState(state.path, "daily", DAY)
    assert [r.name for r in again.results()] == ["mine", "train"]
    assert again.get("mine").fingerprint == "f"
    assert again.get("mine").seconds == 1.235
    assert again.running_mark == "m1"
    again.set(done("train"))
    assert RunState(state.path, "daily", DAY).running_mark is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"order": ["a"], "steps": {"a": {"name": "a", "title": "A", "status": "odd"}}}']
)
def test_run_state__sets_a_broken_file_aside(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text)
    state = RunState(path, "daily", DAY)
    assert state.results() == []
    assert (tmp_path / "run.broken.json").read_text() == text


def test_run_state__full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    state = RunState(tmp_path / "run.json", "daily", DAY)
    state.set(done("mine"))
    before = state.path.read_bytes()

    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        state.set(done("train"))
    assert state.path.read_bytes() == before
    assert json.loads(before)["order"] == ["mine"]
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
