"""Model servers as children of the gateway: started, restarted after a crash, ended when they hang or we end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from streetvision_core.serving._forever import forever
from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.remote import RemoteServer
from streetvision_core.settings import ENV_PREFIX, Settings

FIRST_PAUSE_SECONDS: Final = 0.2
MAX_PAUSE_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05
HEALTHY_SECONDS: Final = 60.0
"""A child that lived so long begins again with the shortest pause."""
_log = structlog.get_logger(__name__)


class Child:
    """One supervised model server.

    It gets the settings as one line of JSON on its standard input, and ends when that closes, so that it never
    outlives a gateway that was killed.

    Args:
        command: what to run.
        settings: for the child; also how long it may hang and drain.
        server: how the gateway sees it.
        metrics: counts restarts.
    """

    def __init__(self, command: Sequence[str], settings: Settings, server: RemoteServer, metrics: FleetMetrics) -> None:
        self._command = command
        self._settings = settings
        self._server = server
        self._metrics = metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child that runs, if one does."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    async def start(self) -> None:
        """Begins to keep it alive."""
        name = f"child {self._server.spec.name}"
        self._task = asyncio.create_task(forever(name, self._keep_alive, self._metrics.failures), name=name)

    async def stop(self) -> None:
        """Asks it to end, and ends it if it does not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None:
            await asyncio.to_thread(_end, self._process, self._settings.serving.drain_seconds)

    async def _keep_alive(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            try:
                self._process = await asyncio.to_thread(self._spawn)
                await self._watch(self._process)
                _log.error("model server ended", server=self._server.spec.name, code=self._process.returncode)
            except OSError as error:
                _log.error("model server cannot be started", command=self._command[0], error=str(error))
            if time.monotonic() - started > HEALTHY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._metrics.restarts.labels(self._server.spec.name).inc()
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _spawn(self) -> subprocess.Popen[bytes]:
        # the settings travel whole; variables would be laid over them a second time. Where the workspace lies is said
        # to whatever the child starts, too: its own current folder may be anywhere
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
        paths = self._settings.paths
        home = paths.model_copy(update={"home": paths.home.resolve()})
        environment[f"{ENV_PREFIX}PATHS"] = home.model_dump_json()
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already, which is seen next
            process.stdin.write(self._settings.to_child_json().encode() + b"\n")
            process.stdin.flush()
        return process

    async def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Returns when the child has ended; ends it when it has answered before and then hangs."""
        while process.poll() is None:
            await asyncio.sleep(POLL_SECONDS)
            if self._server.hangs:
                _log.error("model server hangs and is ended", server=self._server.spec.name)
                await asyncio.to_thread(_end, process, 0.0)


def _end(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """SIGTERM, and SIGKILL to whoever is left after a while."""
    process.terminate()
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def end_with_parent(end: Callable[[], None]) -> None:
    """Calls `end` once standard input closes; blocks, so run it in a thread of its own."""
    # not sys.stdin, whose lock a thread that is waiting would hold while the interpreter ends
    while os.read(0, 4096):
        pass
    end()
