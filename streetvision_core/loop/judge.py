"""Decides whether an executed notebook did its work: papermill's success is necessary, not sufficient."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from typing import Any

from streetvision_core.errors import LoopStoppedError, ResultError, StepFailedError, StorageError
from streetvision_core.loop.execution import Ending
from streetvision_core.loop.result import result_of
from streetvision_core.loop.steps import Step

_OF_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def judge(step: Step, ending: Ending, executed: Mapping[str, Any] | None, timeout_seconds: float) -> dict[str, Any]:
    """Returns the recorded result of a good run.

    Args:
        step: the step.
        ending: how the execution ended.
        executed: the executed notebook, None where nothing was written.
        timeout_seconds: the limit it ran under, for the message.

    Raises:
        LoopStoppedError: a signal stopped it.
        StorageError: the executed notebook could not be written.
        StepFailedError: anything else that is not a run to the end with one recorded result.
    """
    if ending.kind == "stopped":
        raise LoopStoppedError(
            got=f"a signal in step {step.name!r}",
            allowed="a run to the end",
            action="run again: finished steps are skipped",
            step=step.name,
        )
    if ending.kind == "timeout":
        raise _failed(
            step,
            got=f"step {step.name!r} not done after {timeout_seconds:g} s (cell {ending.last_cell})",
            allowed=f"at most {timeout_seconds:g} s",
            action="make the step faster, or raise its timeout_seconds or SV_LOOP__STEP_TIMEOUT_SECONDS",
        )
    _refuse_full_disk(step, ending)
    if ending.kind == "died":
        raise _failed(
            step,
            got=f"a dead kernel in cell {ending.last_cell} of step {step.name!r}: {_last_line(ending.kernel_log)}",
            allowed="a kernel that lives to the end",
            action="look for os._exit, a crash in native code, or the kernel log of the system (out of memory)",
            kernel_log=ending.kernel_log,
        )
    for where, output in _errors(executed or {}):
        raise _cell_failed(step, where, output)
    if ending.exception is not None:
        raise _failed(
            step,
            got=f"{type(ending.exception).__name__}: {ending.exception} in step {step.name!r}",
            allowed="a notebook that papermill can execute",
            action="open the notebook in JupyterLab and run it there",
            kernel_log=ending.kernel_log,
        ) from ending.exception
    try:
        return result_of(executed or {}, step.notebook)
    except ResultError as error:
        raise _failed(step, got=error.got, allowed=error.allowed, action=error.action) from error


def _cell_failed(step: Step, where: str, output: Mapping[str, Any]) -> StepFailedError:
    name, value = str(output["ename"]), str(output["evalue"])
    if name == "SystemExit":
        return _failed(
            step,
            got=f"SystemExit({value}) in {where} of step {step.name!r}",
            allowed="a notebook that runs to its last cell",
            action="raise a named error where something is wrong, use an if where nothing is",
            ename=name,
            evalue=value,
        )
    return _failed(
        step,
        got=f"{name}: {value[:500]} in {where} of step {step.name!r}",
        allowed="a notebook that runs to its last cell",
        action="open the step's page, mend the cause and run again: finished steps are skipped",
        ename=name,
        evalue=value,
    )


def _failed(step: Step, got: str, allowed: str, action: str, **data: Any) -> StepFailedError:
    return StepFailedError(got, allowed, action, step=step.name, **data)


def _errors(notebook: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for cell in notebook.get("cells", []):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                yield f"In [{cell.get('execution_count') or '?'}]", output


def _refuse_full_disk(step: Step, ending: Ending) -> None:
    error: BaseException | None = ending.exception
    while error is not None:
        if isinstance(error, OSError) and error.errno in _OF_STORAGE:
            raise StorageError(
                got=f"{error.strerror} while the notebook of step {step.name!r} was written",
                allowed="a writable folder with free space",
                action="free space or mend the rights of the reports folder, then run again",
                errno=error.errno,
                step=step.name,
            ) from error
        error = error.__cause__ or error.__context__


def _last_line(text: str) -> str:
    return text.splitlines()[-1] if text else "it printed nothing"
