import os
import signal
import subprocess
import sys
import time

import pytest

from streetvision_core.errors import LoopBusyError, StorageError
from streetvision_core.loop.lock import loop_lock

HOLD = """
import sys, time
from pathlib import Path
from streetvision_core.loop.lock import loop_lock
with loop_lock(Path(sys.argv[1]), "daily 2026-11-23"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "loop.lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_loop_lock__second_is_told_who_holds_it(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    with pytest.raises(LoopBusyError) as caught, loop_lock(tmp_path / "loop.lock", "weekly"):
        pass
    assert holder.poll() is None
    message = str(caught.value)
    assert "daily 2026-11-23" in message
    assert f"process {holder.pid} on" in message
    assert "since 20" in message
    assert f"kill {holder.pid}" in message


def test_loop_lock__outlives_no_killed_process(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "loop.holder.json").exists()
    with loop_lock(tmp_path / "loop.lock", "weekly"):
        pass
    assert not (tmp_path / "loop.holder.json").exists()


def test_loop_lock__also_within_one_process(tmp_path):
    with (
        loop_lock(tmp_path / "loop.lock", "daily"),
        pytest.raises(LoopBusyError, match="daily of "),
        loop_lock(tmp_path / "loop.lock", "weekly"),
    ):
        pass
    with loop_lock(tmp_path / "loop.lock", "weekly"):
        pass


def test_loop_lock__says_when_the_folder_cannot_be_made(tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match=r"loop\.lock"), loop_lock(tmp_path / "data" / "loop.lock", "daily"):
        pass
