"""Runs one notebook step: check, skip if unchanged, execute, judge, keep the evidence.

What papermill passes over is an error here: an unknown or missing parameter, no parameters cell, SystemExit(0) in a
cell, no recorded result.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from streetvision_core.errors import (
    LoopError,
    LoopStoppedError,
    ResultError,
    StepFailedError,
    StorageError,
    StreetVisionError,
)
from streetvision_core.loop.environment import kernel_environment, settings_sha256
from streetvision_core.loop.fingerprint import step_fingerprint
from streetvision_core.loop.parameters import check_parameters
from streetvision_core.loop.result import read_result
from streetvision_core.loop.signals import Stop
from streetvision_core.loop.state import RunState, now_iso
from streetvision_core.loop.steps import Status, Step, StepResult
from streetvision_core.loop.workspace import Night, Workspace, parse_night
from streetvision_core.settings import Settings
from streetvision_core.storage import atomic_write_text

if TYPE_CHECKING:
    import nbformat

    from streetvision_core.loop.execution import OnCell

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all steps of a run share.

    Attributes:
        settings: the settings; the kernels get the same ones.
        day: the day that is run, or the night's name.
        notebooks: folder of the notebook files.
        state: the run's state.
        stop: asked between polls; a signal sets it.
    """

    settings: Settings
    day: Night
    notebooks: Path
    state: RunState
    stop: Stop = field(default_factory=Stop)

    @property
    def workspace(self) -> Workspace:
        """The folders."""
        return Workspace.of(self.settings)


def run_step(
    step: Step,
    parameters: Mapping[str, Any],
    context: RunContext,
    *,
    upstream: Mapping[str, str] | None = None,
    force: bool = False,
    on_cell: OnCell | None = None,
) -> StepResult:
    """Runs a step, or skips it when nothing it depends on has changed since it was done.

    The state file is written before and after. On failure the executed notebook and its page are kept as well.

    Args:
        step: the step.
        parameters: a value for every parameter of the step's schema.
        context: settings, day, state.
        upstream: digest of what each needed step left (`result_digest`).
        force: run even when unchanged.
        on_cell: told which cell starts.

    Raises:
        ParameterError: notebook, schema and values do not agree; nothing was executed.
        StepFailedError: a cell failed, the kernel died, the time limit passed, or no result was recorded.
        LoopStoppedError: a signal came; the kernel is down and the state saved.
        StorageError: the disk is full; the state on disk is the one before.
    """
    run = _Run(step, context, StepResult(step.name, step.title, "running", started_at=now_iso()), on_cell)
    started = time.monotonic()
    try:
        notebook = read_notebook(context.notebooks / step.notebook)
        values = check_parameters(step, notebook, parameters)
        fingerprint = _fingerprint(step, notebook, values, context, upstream or {})
        before = context.state.get(step.name)
        if before is not None and not force and _is_unchanged(step, before, fingerprint, context):
            return replace(before, status="skipped", note="unchanged, skipped")
        run.base = replace(run.base, fingerprint=fingerprint)
        result = run.repeat(notebook, values)
        done = replace(run.base, status="done", result=result, seconds=time.monotonic() - started)
        context.state.set(done)
    except StreetVisionError as error:
        context.state.set(_ended(run.base, error, time.monotonic() - started))
        raise
    return done


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Reads a notebook; raises LoopError when it is absent or no notebook."""
    import nbformat

    try:
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise LoopError(
            got=f"{path.name}: {getattr(error, 'strerror', None) or str(error).splitlines()[0]}",
            allowed="a readable notebook (nbformat 4)",
            action=f"put it into {path.parent}",
            path=str(path),
        ) from error
    return notebook


def result_digest(result: StepResult) -> str:
    """Digest of what became of a step, for the fingerprints of the steps after it; done and skipped are the same."""
    left = [result.fingerprint, result.result] if result.finished else [result.status, result.note]
    return hashlib.sha256(json.dumps(left, sort_keys=True).encode()).hexdigest()


def _read_executed(path: Path) -> nbformat.NotebookNode | None:
    try:
        return read_notebook(path)
    except LoopError:  # never written, or torn by a full disk: `judge` knows the cause
        return None


@dataclass(slots=True)
class _Run:
    """The attempts of one step; `base` collects what is known so far."""

    step: Step
    context: RunContext
    base: StepResult
    on_cell: OnCell | None

    def repeat(self, notebook: nbformat.NotebookNode, values: Mapping[str, Any]) -> dict[str, Any]:
        """Attempts the step until it is done, or as often as it may be repeated."""
        allowed = 1 + min(self.step.retries, self.context.settings.loop.retries)
        for number in range(1, allowed):
            try:
                return self._attempt(number, notebook, values)
            except StepFailedError as error:
                logger.warning("step_retry", step=self.step.name, attempt=number, allowed=allowed, error=error.got)
        return self._attempt(allowed, notebook, values)

    def _attempt(self, number: int, notebook: nbformat.NotebookNode, values: Mapping[str, Any]) -> dict[str, Any]:
        from streetvision_core.loop.execution import Job, execute
        from streetvision_core.loop.judge import judge

        settings, mark = self.context.settings, uuid.uuid4().hex
        self.base = replace(self.base, attempts=number)
        self.context.state.set(self.base, running_mark=mark)
        timeout = self.step.timeout_seconds or float(settings.loop.step_timeout_seconds)
        growing = self._folder() / f".{self.step.name}.running.ipynb"
        environment = kernel_environment(settings, mark)
        job = Job(notebook, values, growing, self.context.workspace.home, environment, mark, timeout)
        ending = execute(job, self.context.stop, self.on_cell)
        executed = _read_executed(growing)
        try:
            result = judge(self.step, ending, executed, timeout)
        except StreetVisionError as error:
            self._keep(growing, executed, error)
            raise
        self._keep(growing, executed, None)
        return result

    def _folder(self) -> Path:
        folder = self.context.workspace.steps_folder(self.context.day)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        return folder

    def _keep(self, growing: Path, executed: nbformat.NotebookNode | None, error: StreetVisionError | None) -> None:
        """Puts the executed notebook in its place and draws its page."""
        from streetvision_core.loop.report.notebook import notebook_page

        if executed is None:
            growing.unlink(missing_ok=True)
            return
        folder, name = growing.parent, self.step.name
        if error is not None and _is_good(folder / f"{name}.ipynb"):
            name = f"{name}.failed"  # the good run's page stays, and what links to it
        for key in ("input_path", "output_path"):  # paths of this machine, or the whole notebook once more
            executed.metadata.get("papermill", {}).pop(key, None)
        atomic_write_text(folder / f"{name}.ipynb", json.dumps(executed, indent=1, ensure_ascii=False) + "\n")
        growing.unlink(missing_ok=True)
        self.base = replace(self.base, notebook=f"steps/{name}.ipynb")
        page = notebook_page(executed, self.step.title, parse_night(str(self.context.day))[0], error)
        atomic_write_text(folder / f"{name}.html", page)
        self.base = replace(self.base, html=f"steps/{name}.html")


def _is_good(executed: Path) -> bool:
    """Whether a notebook ran to its end."""
    try:
        return executed.exists() and bool(read_result(executed))
    except ResultError:
        return False


def _ended(base: StepResult, error: StreetVisionError, seconds: float) -> StepResult:
    status: Status = "stopped" if isinstance(error, LoopStoppedError) else "failed"
    note = f"{type(error).__name__}: {error.got}"
    return replace(base, status=status, note=note, error=error.to_dict(), seconds=seconds)


def _fingerprint(
    step: Step, notebook: Mapping[str, Any], values: Mapping[str, Any], context: RunContext, upstream: Mapping[str, str]
) -> str:
    inputs = {pattern: context.workspace.fill(pattern, context.day) for pattern in step.inputs}
    settings = settings_sha256(context.settings)
    return step_fingerprint(notebook, values, inputs, settings_sha256=settings, upstream=upstream)


def _is_unchanged(step: Step, before: StepResult, fingerprint: str, context: RunContext) -> bool:
    if before.status != "done" or before.fingerprint != fingerprint or before.notebook is None:
        return False
    left = [context.workspace.fill(pattern, context.day) for pattern in step.outputs]
    left.append(context.workspace.report_folder(context.day) / before.notebook)
    return all(path.exists() for path in left)


def _cannot_write(folder: Path, error: OSError) -> StorageError:
    return StorageError(
        got=f"{error.strerror or error} in {folder.name}",
        allowed="a writable folder with free space",
        action=f"free space or mend the rights of {folder}, then run again",
        path=str(folder),
        errno=error.errno,
    )
