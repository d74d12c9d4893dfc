"""The learning loop's machinery: notebooks as steps, pipelines, the reports people read, notifications.

Notebooks import `record` from here; the rest is loaded when it is first asked for, so that this costs them little.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streetvision_core.loop.result import read_result, record

if TYPE_CHECKING:
    from streetvision_core.loop.notify import notify
    from streetvision_core.loop.pipeline import Pipeline, PipelineResult, run_pipeline
    from streetvision_core.loop.runner import RunContext, run_step
    from streetvision_core.loop.steps import Step, StepResult
    from streetvision_core.loop.workspace import Workspace, parse_day, week_of

_HOMES = {
    "Pipeline": "pipeline",
    "PipelineResult": "pipeline",
    "RunContext": "runner",
    "Step": "steps",
    "StepResult": "steps",
    "Workspace": "workspace",
    "notify": "notify",
    "parse_day": "workspace",
    "run_pipeline": "pipeline",
    "run_step": "runner",
    "week_of": "workspace",
}

__all__ = [
    "Pipeline",
    "PipelineResult",
    "RunContext",
    "Step",
    "StepResult",
    "Workspace",
    "notify",
    "parse_day",
    "read_result",
    "record",
    "run_pipeline",
    "run_step",
    "week_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
