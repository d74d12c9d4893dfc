"""Starts a notebook kernel on the running interpreter, and ends everything that a step started.

No kernelspec need be installed: the manager carries its own, with `sys.executable`. Every process of a step inherits
an environment variable with a unique value (`environment.MARK`), so children, also detached ones, are found and ended
after a time limit, a signal, or a loop that was killed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import psutil
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from streetvision_core.loop.environment import MARK

KERNEL_NAME = "python3"
_LONGEST_SOCKET_NAME = 90  # the system allows 107 with the endings that jupyter_client adds


class _OwnKernelSpecs(KernelSpecManager):
    """Knows one kernel: this interpreter."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


def kernel_manager_class(
    cwd: Path, environment: Mapping[str, str], connection_file: Path, log: IO[bytes]
) -> type[AsyncKernelManager]:
    """A manager class for papermill's client: it starts a kernel in `cwd` with `environment`.

    Args:
        cwd: the kernel's working folder.
        environment: the kernel's whole environment.
        connection_file: where ports and key go; in a folder of the step, as the user's home may be read-only.
        log: takes what the kernel process itself prints, such as a fatal error.
    """

    class StepKernelManager(AsyncKernelManager):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.kernel_spec_manager = _OwnKernelSpecs(parent=self)
            self.connection_file = str(connection_file)
            if len(self.connection_file) < _LONGEST_SOCKET_NAME:  # sockets of this user rather than open ports
                self.transport = "ipc"
            self.shutdown_wait_time = 2.0

        async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
            kwargs |= {"stdout": log, "stderr": log, "cwd": str(cwd), "env": dict(environment)}
            await super().start_kernel(**kwargs)

    return StepKernelManager


def end_processes(mark: str, grace_seconds: float = 1.0) -> int:
    """Ends every process that carries the mark: first politely, then for good.

    Returns:
        How many processes there were.
    """
    ended: set[int] = set()
    deadline = time.monotonic() + grace_seconds
    while found := processes_with(mark):
        for process in found:
            late = time.monotonic() >= deadline
            try:
                process.kill() if late else process.terminate()
            except psutil.NoSuchProcess:
                continue
            ended.add(process.pid)
        psutil.wait_procs(found, timeout=0.1)
        if time.monotonic() > deadline + 10:  # a process in uninterruptible sleep; nothing more can be done
            break
    return len(ended)


def processes_with(mark: str) -> list[psutil.Process]:
    """The living processes of this user that carry the mark, this one excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            carries = process.pid != os.getpid() and process.environ().get(MARK) == mark
            if carries and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
