"""A child process in a session of its own, so that a time limit or Ctrl-C reaches the database too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_GRACE_SECONDS: Final = 10.0


def start_child(
    module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Runs one of our modules with its output in a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            start_new_session=True,
        )


def end_session(child: subprocess.Popen[bytes]) -> None:
    """Ends whatever is left of the child's session: first by request, so that the database closes its files."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _signal_session(child, number):
            return
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            if not _signal_session(child, 0):
                return
            time.sleep(0.1)


def last_words(log: Path) -> str:
    """The end of a child's log."""
    lines = log.read_text(errors="replace").splitlines()
    return "its last words: " + (" | ".join(lines[-3:])[-400:] or "none")


def _signal_session(child: subprocess.Popen[bytes], number: int) -> bool:
    """Signals the session's processes; False when none is left."""
    child.poll()
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True
