"""A step of the loop and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args

from streetvision_core.errors import LoopError

Status = Literal["done", "skipped", "failed", "blocked", "stopped", "running"]
"""`blocked`: a step it needs failed. `running` stands in the state while a step runs, and after a kill."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Step:
    """One notebook of a pipeline.

    Attributes:
        name: unique in its pipeline; also the name of its files: lower case, digits, `-`, `_`.
        notebook: file name inside the pipeline's notebook folder.
        title: what people read.
        parameters: UPPER_CASE parameter names and their types; each must stand in the notebook's parameters cell and
            each gets a value.
        needs: names of the steps that must be done before.
        inputs: files or folders whose content the step depends on, as patterns: `{home}`, `{data}`, `{reports}`,
            `{streets}`, `{day}`, `{day_folder}` are filled in. Name only what later steps do not write, or the step
            will never count as unchanged.
        outputs: files the step leaves behind, same patterns; the step is run again when one is gone.
        timeout_seconds: wall-clock limit of one attempt; None takes `settings.loop.step_timeout_seconds`.
        retries: how often a failed attempt may be repeated, at most `settings.loop.retries`; 0 where repeating the
            step is not safe.
        after: names of steps that go first where they run at all. Whether they succeed does not matter, but what became
            of them counts in the fingerprint: a page that tells of all steps is written anew when one of them changes.
    """

    name: str
    notebook: str
    title: str
    parameters: Mapping[str, type | UnionType] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    retries: int = 0
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LoopError(f"the step name {self.name!r}", "lower-case letters, digits, - and _", "rename the step")
        if Path(self.notebook).name != self.notebook or not self.notebook.endswith(".ipynb"):
            raise LoopError(f"the notebook {self.notebook!r}", "a file name ending in .ipynb", "name the file only")


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of a step.

    Attributes:
        name: the step's name.
        title: the step's title.
        status: `done`, `skipped` (unchanged since it was done), `failed`, `blocked`, `stopped`, or `running`.
        note: one sentence: why it was skipped, what failed.
        seconds: wall time of all attempts; of the earlier run when it was skipped.
        attempts: how many attempts were made.
        started_at: ISO time, UTC.
        fingerprint: sha256 over everything the step depends on.
        result: what the notebook recorded; None unless done or skipped.
        error: the named error as a dict; None unless failed.
        notebook: path of the executed notebook, relative to the reports folder of the day; None if none was executed.
        html: path of its page, relative likewise.
    """

    name: str
    title: str
    status: Status
    note: str = ""
    seconds: float = 0.0
    attempts: int = 0
    started_at: str | None = None
    fingerprint: str | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    notebook: str | None = None
    html: str | None = None

    @property
    def finished(self) -> bool:
        """Whether steps that need this one may run."""
        return self.status in ("done", "skipped")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StepResult:
        """The inverse of `to_dict`; raises TypeError or ValueError on foreign data."""
        result = cls(**data)
        if result.status not in get_args(Status):
            raise ValueError(f"unknown status {result.status!r}")
        return result
