"""Steps with dependencies, run in order; a failed step stops those that need it and no others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import structlog

from streetvision_core.errors import LoopError, ParameterError, StorageError, StreetVisionError
from streetvision_core.loop.lock import loop_lock
from streetvision_core.loop.progress import Progress, default_progress
from streetvision_core.loop.runner import RunContext, result_digest, run_step
from streetvision_core.loop.signals import Stop, stop_on_signals
from streetvision_core.loop.state import RunState, now_iso
from streetvision_core.loop.steps import Step, StepResult
from streetvision_core.loop.workspace import Night, Workspace, parse_night
from streetvision_core.settings import Settings

logger = structlog.get_logger(__name__)

OWN_PARAMETERS = ("DAY", "PROFILE", "SEED")
"""Every pipeline gives these: the day as YYYY-MM-DD, the profile's name, the seed."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A registry of steps.

    Attributes:
        name: `daily`, `weekly`, `setup`…; part of the state file's name.
        notebooks: the folder of the notebook files.
        steps: the steps; each may need steps that stand anywhere in the tuple.
    """

    name: str
    notebooks: Path
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        unknown = sorted({name for step in self.steps for name in (*step.needs, *step.after)} - set(names))
        if twice or unknown:
            raise LoopError(
                got=f"pipeline {self.name!r} with steps twice: {twice}, unknown needs: {unknown}",
                allowed="each name once, needs and after among the names",
                action="mend the pipeline's steps",
            )
        self.ordered()

    def ordered(self) -> list[Step]:
        """The steps in an order that respects what they need; otherwise as they stand."""
        place = {step.name: number for number, step in enumerate(self.steps)}
        sorter = TopologicalSorter({step.name: (*step.needs, *step.after) for step in self.steps})
        try:
            sorter.prepare()
        except CycleError as error:
            raise LoopError(
                got=f"a circle of needs: {' -> '.join(error.args[1])}", allowed="no circle", action="remove one need"
            ) from error
        order: list[Step] = []
        ready: list[int] = []
        while sorter.is_active():
            for name in sorter.get_ready():
                heappush(ready, place[name])
            step = self.steps[heappop(ready)]
            order.append(step)
            sorter.done(step.name)
        return order


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """What became of a run.

    Attributes:
        pipeline: the pipeline's name.
        day: the day, or the night's name.
        started_at: ISO time, UTC.
        seconds: wall time.
        steps: one result per step, in the order they ran.
        exit_code: 0 all done or skipped, 1 something failed, 130 after Ctrl-C, 143 after SIGTERM.
    """

    pipeline: str
    day: Night
    started_at: str
    seconds: float
    steps: tuple[StepResult, ...]
    exit_code: int

    def results(self) -> dict[str, dict[str, Any]]:
        """What the finished steps recorded, by step name."""
        return {step.name: step.result for step in self.steps if step.finished and step.result is not None}


def run_pipeline(
    pipeline: Pipeline,
    day: Night | None,
    settings: Settings,
    progress: Progress | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
) -> PipelineResult:
    """Runs a pipeline for a day, resuming where an earlier run ended.

    Args:
        pipeline: the steps.
        day: the day, or the name of a night; None is today in UTC.
        settings: the settings; the notebooks get the same ones.
        progress: told what happens; None draws on a terminal and writes log lines elsewhere.
        parameters: values for the parameters that the steps' schemas name, besides DAY, PROFILE and SEED.
        force: run unchanged steps too.

    Raises:
        LoopBusyError: another loop runs.
        LoopError: a day that is none.
        ParameterError: a parameter that no step knows, or one without a value; nothing was executed.
        StorageError: the disk is full; the state on disk is kept and the run can be resumed.
    """
    _, name = parse_night(str(day or ""))
    _check_names(pipeline, _values(name, settings, parameters))  # before the lock leaves a file
    with loop_lock(Workspace.of(settings).lock, f"{pipeline.name} {name}"), stop_on_signals() as stop:
        return run_steps(pipeline, name, settings, stop, progress, parameters=parameters, force=force)


def run_steps(
    pipeline: Pipeline,
    night: str,
    settings: Settings,
    stop: Stop,
    progress: Progress | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
) -> PipelineResult:
    """`run_pipeline` for a caller that holds the loop's lock and hears the signals itself."""
    values = _values(night, settings, parameters)
    _check_names(pipeline, values)
    progress = progress or default_progress()
    state = RunState(Workspace.of(settings).run_file(night, pipeline.name), pipeline.name, night)
    _end_leftovers(state)
    run = _PipelineRun(pipeline, RunContext(settings, night, pipeline.notebooks, state, stop), values, force, progress)
    with progress:
        return run.all_steps()


@dataclass(slots=True)
class _PipelineRun:
    pipeline: Pipeline
    context: RunContext
    values: Mapping[str, Any]
    force: bool
    progress: Progress

    def all_steps(self) -> PipelineResult:
        started_at, started = now_iso(), dt.datetime.now(dt.UTC)
        steps = self.pipeline.ordered()
        self.progress.begin(f"{self.pipeline.name} {self.context.day}", steps)
        results: dict[str, StepResult] = {}
        for step in steps:
            results[step.name] = self._one_step(step, results)
            self.progress.step_ended(results[step.name])
        seconds = (dt.datetime.now(dt.UTC) - started).total_seconds()
        done = all(result.finished for result in results.values())
        code = self.context.stop.exit_code or (0 if done else 1)
        logger.info("pipeline_ended", pipeline=self.pipeline.name, seconds=round(seconds, 1), exit_code=code)
        day, name = self.context.day, self.pipeline.name
        return PipelineResult(name, day, started_at, seconds, tuple(results.values()), code)

    def _one_step(self, step: Step, results: Mapping[str, StepResult]) -> StepResult:
        missing = [need for need in step.needs if not results[need].finished]
        if self.context.stop.signal is not None:
            return StepResult(step.name, step.title, "stopped", note="not begun: the loop was stopped")
        if missing:
            return StepResult(step.name, step.title, "blocked", note=f"needs {', '.join(missing)}")
        self.progress.step_began(step)
        values = {name: self.values[name] for name in step.parameters}
        upstream = {name: result_digest(results[name]) for name in (*step.needs, *step.after)}
        try:
            return run_step(
                step, values, self.context, upstream=upstream, force=self.force, on_cell=self.progress.cell_began
            )
        except StorageError:
            raise
        except StreetVisionError as error:
            return self.context.state.get(step.name) or _failed(step, error)


def _failed(step: Step, error: StreetVisionError) -> StepResult:
    return StepResult(step.name, step.title, "failed", note=str(error), error=error.to_dict())


def _values(night: str, settings: Settings, more: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"DAY": night, "PROFILE": settings.profile, "SEED": settings.seed, **(more or {})}


def _check_names(pipeline: Pipeline, values: Mapping[str, Any]) -> None:
    known = {name for step in pipeline.steps for name in step.parameters}
    unknown, missing = sorted(set(values) - known - set(OWN_PARAMETERS)), sorted(known - set(values))
    if unknown or missing:
        raise ParameterError(
            got=f"unknown parameters {unknown}, no value for {missing} (pipeline {pipeline.name!r})",
            allowed=", ".join(sorted(known)) or "no parameters at all",
            action="mend the call or the steps' schemas",
            names=unknown + missing,
        )


def _end_leftovers(state: RunState) -> None:
    """Ends what a killed loop left running; the lock is held, so nobody else's step carries this mark."""
    if state.running_mark is not None:
        from streetvision_core.loop.kernel import end_processes

        ended = end_processes(state.running_mark)
        logger.info("resumed", pipeline=state.pipeline, day=str(state.day), processes_ended=ended)


__all__ = ["OWN_PARAMETERS", "Pipeline", "PipelineResult", "Stop", "run_pipeline", "run_steps"]
