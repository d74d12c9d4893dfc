"""The state of a run: one JSON file, replaced at every change, so that a killed run resumes where it was."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import structlog

from streetvision_core.errors import StorageError
from streetvision_core.loop.steps import StepResult
from streetvision_core.loop.workspace import Night
from streetvision_core.storage import atomic_write_json

logger = structlog.get_logger(__name__)


class RunState:
    """Step results of one pipeline on one day, kept in a file.

    Args:
        path: the state file.
        pipeline: the pipeline's name.
        day: the day, or the night's name.
    """

    def __init__(self, path: Path, pipeline: str, day: Night) -> None:
        self.path = path
        self.pipeline = pipeline
        self.day = day
        self.running_mark: str | None = None
        """The mark of the attempt that runs now, or that ran when the loop was killed."""
        self._steps: dict[str, StepResult] = {}
        self._created_at = now_iso()
        if path.exists():
            self._load()

    def get(self, name: str) -> StepResult | None:
        """What is known of a step."""
        return self._steps.get(name)

    def results(self) -> list[StepResult]:
        """All step results in the order in which they were first set."""
        return list(self._steps.values())

    def set(self, result: StepResult, running_mark: str | None = None) -> None:
        """Sets a step's result and writes the file.

        Raises:
            StorageError: the file cannot be written; the old file is unchanged and still describes a run to resume.
        """
        self._steps[result.name] = result
        self.running_mark = running_mark
        self.save()

    def save(self) -> None:
        """Writes the file by replace."""
        atomic_write_json(self.path, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "pipeline": self.pipeline,
            "day": str(self.day),
            "created_at": self._created_at,
            "updated_at": now_iso(),
            "running_mark": self.running_mark,
            "order": list(self._steps),
            "steps": {name: result.to_dict() for name, result in self._steps.items()},
        }

    def _load(self) -> None:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
            steps = {name: StepResult.from_dict(data["steps"][name]) for name in data["order"]}
            self._created_at, self.running_mark = data["created_at"], data["running_mark"]
        except OSError as error:
            raise StorageError(
                got=f"{error.strerror or error} while reading {self.path.name}",
                allowed="a readable file",
                action=f"mend the rights of {self.path.parent}, then run again",
                path=str(self.path),
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Steps can be done again; a nightly run that refuses to start for ever would be worse.
            broken = self.path.with_suffix(".broken.json")
            self.path.replace(broken)
            logger.warning("run_state_unreadable", path=str(self.path), kept_as=broken.name, error=repr(error))
            return
        self._steps = steps


def now_iso() -> str:
    """The time now in UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
