"""Executes one notebook once through papermill, under a time limit, and says plainly how it ended.

papermill runs in a worker thread; this thread watches the clock and the signals, and ends the step's processes when
either says so. The executed notebook grows in a temporary file, so the last good one is never truncated.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat

from streetvision_core.loop.kernel import KERNEL_NAME, end_processes, kernel_manager_class
from streetvision_core.loop.signals import Stop

OnCell = Callable[[int, int], None]
"""Called with the number of the cell that starts (from 1) and the number of cells."""

_POLL_SECONDS = 0.05
_END_SECONDS = 15.0  # nbclient notices a dead kernel within a second or two


@dataclass(frozen=True, slots=True)
class Job:
    """What is executed, and how.

    Attributes:
        notebook: the notebook, unchanged.
        parameters: plain values to inject.
        output: where the executed notebook grows.
        cwd: working folder of the kernel.
        environment: environment of the kernel.
        mark: the value that the kernel's processes carry.
        timeout_seconds: wall-clock limit.
    """

    notebook: nbformat.NotebookNode
    parameters: Mapping[str, Any]
    output: Path
    cwd: Path
    environment: Mapping[str, str]
    mark: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ended.

    Attributes:
        kind: `finished` (papermill ran to its end, with or without a failed cell), `timeout`, `stopped` or `died`.
        last_cell: number of the last cell that started, from 1; 0 if none did.
        exception: what papermill raised.
        kernel_log: the end of what the kernel process itself printed.
    """

    kind: Literal["finished", "timeout", "stopped", "died"]
    last_cell: int
    exception: BaseException | None
    kernel_log: str


def execute(job: Job, stop: Stop, on_cell: OnCell | None = None) -> Ending:
    """Executes the job and leaves no process behind."""
    cells = [0]

    def count(number: int, total: int) -> None:
        cells[0] = number
        if on_cell is not None:
            on_cell(number, total)

    with tempfile.TemporaryDirectory(prefix="streetvision-step-") as folder:
        log = Path(folder) / "kernel.log"
        worker = _Worker(job, Path(folder), log, count)
        worker.start()
        try:
            cut = _watch(worker, job, stop)
        finally:
            end_processes(job.mark)
            worker.join(_END_SECONDS)
        text = log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
    died = worker.exception is not None and _is_dead_kernel(worker.exception)
    return Ending(cut or ("died" if died else "finished"), cells[0], worker.exception, text)


class _Worker(threading.Thread):
    def __init__(self, job: Job, folder: Path, log: Path, on_cell: OnCell) -> None:
        super().__init__(name="papermill", daemon=True)
        self.job, self.folder, self.log, self.on_cell = job, folder, log, on_cell
        self.exception: BaseException | None = None

    def run(self) -> None:
        try:
            with self.log.open("wb") as log:
                self._execute(log)
        except BaseException as error:
            self.exception = error

    def _execute(self, log: Any) -> None:
        import papermill

        from streetvision_core.loop.engine import ENGINE, register_engine

        register_engine()
        job = self.job
        papermill.execute_notebook(
            job.notebook,
            str(job.output).replace("{", "{{").replace("}", "}}"),  # papermill formats the path
            parameters=dict(job.parameters),
            engine_name=ENGINE,
            kernel_name=KERNEL_NAME,
            language="python",
            progress_bar=False,
            on_cell=self.on_cell,
            kernel_manager_class=kernel_manager_class(job.cwd, job.environment, self.folder / "kernel.json", log),
        )


def _watch(worker: _Worker, job: Job, stop: Stop) -> Literal["timeout", "stopped"] | None:
    deadline = time.monotonic() + job.timeout_seconds
    while worker.is_alive():
        worker.join(_POLL_SECONDS)
        if stop.signal is not None:
            return "stopped"
        if time.monotonic() >= deadline and worker.is_alive():
            return "timeout"
    return None


def _is_dead_kernel(error: BaseException) -> bool:
    from nbclient.exceptions import DeadKernelError

    return isinstance(error, DeadKernelError) or "Kernel died" in str(error)
