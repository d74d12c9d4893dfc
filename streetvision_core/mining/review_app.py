"""FiftyOne's App with our review plugin, as a child process that ends with us.

It listens on this machine only: FiftyOne's server gives any file its user can read to whoever can reach it.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from streetvision_core.errors import WorkbenchError
from streetvision_core.mining._child import end_session, last_words, start_child
from streetvision_core.mining.workbench import environment, require_fiftyone

START_SECONDS: Final = 180.0
KEYS: Final = "1 accept, 2 flip, 3 set aside, 4 tag, 5 say why, U undo, Shift+1 to 8 tag a failure mode"
_PLUGIN: Final = Path(__file__).parent / "plugin"


@dataclass(frozen=True, slots=True)
class ReviewApp:
    """A running App; `url` opens the frames that need review beside the panel."""

    url: str
    process: subprocess.Popen[bytes]
    keys: str = KEYS

    def wait(self) -> None:
        """Blocks until the App ends."""
        self.process.wait()


@contextmanager
def open_app(
    home: Path, days: Path, project: str, reviewer: str, port: int = 0, timeout_seconds: float = START_SECONDS
) -> Iterator[ReviewApp]:
    """Starts the App and ends it, and its database, on leaving.

    Args:
        home: FiftyOne's folder in the workspace.
        days: `data/days`; decisions are recorded in the label store beside it.
        project: name of the FiftyOne dataset.
        reviewer: who decides.
        port: on this machine; 0 takes a free one.
        timeout_seconds: longest wait for the first page.

    Raises:
        WorkbenchError: FiftyOne is missing, the port is taken, the project is empty, or the App does not start.
    """
    require_fiftyone()
    port = _free_port(port)
    shutil.copytree(_PLUGIN, home / "plugins" / "streetvision", dirs_exist_ok=True)
    state, log = home / "review.json", home / "review.log"
    state.unlink(missing_ok=True)
    values = environment(home) | {
        "STREETVISION_REVIEW_DAYS": str(days.resolve()),
        "STREETVISION_REVIEWER": reviewer,
    }
    arguments = [str(home.resolve()), str(days.resolve()), project, str(port), str(state.resolve())]
    child = start_child("streetvision_core.mining._fiftyone_server", arguments, log, values)
    try:
        _wait(child, port, state, log, timeout_seconds)
        url = f"http://127.0.0.1:{port}/datasets/{project}?view=needs-review&workspace=review"
        yield ReviewApp(url, child)
    finally:
        end_session(child)


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise _failed(f"port {port}: {error.strerror}", "choose another --port, or 0 for a free one") from error
        return int(probe.getsockname()[1])


def _wait(child: subprocess.Popen[bytes], port: int, state: Path, log: Path, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise _ended(child.returncode, state, log)
        try:
            if httpx.get(f"http://127.0.0.1:{port}/fiftyone", timeout=5.0).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise _failed(f"no page after {timeout_seconds:g} s; {last_words(log)}", f"read {log}")


def _ended(code: int, state: Path, log: Path) -> WorkbenchError:
    if state.exists():
        told = json.loads(state.read_text())
        return WorkbenchError(str(told["got"]), str(told["allowed"]), str(told["do"]))
    return _failed(f"the App ended with code {code}; {last_words(log)}", f"read {log}")


def _failed(got: str, action: str) -> WorkbenchError:
    return WorkbenchError(got, "FiftyOne's App, running", f"{action}; or review in a sheet: streetvision review export")
