"""Mined frames on FiftyOne's workbench; where it cannot run, the reason is the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog

from streetvision_core.errors import WorkbenchError
from streetvision_core.learning.measured import split_of_group
from streetvision_core.learning.mine import Mined
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.mining.review_app import ReviewApp, open_app
from streetvision_core.mining.workbench import WorkbenchJob, WorkbenchSample, run_workbench
from streetvision_core.settings import Settings

logger = structlog.get_logger(__name__)
PROJECT: Final = "streetvision"


def workbench_job(
    mined: Mined, doubted: Mapping[str, tuple[float, bool]], night: str, log: QueryLog, settings: Settings
) -> WorkbenchJob:
    """One dataset with a view per night, Brain runs on our embeddings, and exports of the mined set.

    Args:
        mined: the frames, with labels and failure modes.
        doubted: from `label_doubts`, by the query's name.
        night: the night's name.
        log: holds the images.
        settings: the workspace.
    """
    days = settings.paths.resolve("data") / "days"
    samples = [
        WorkbenchSample.from_row(
            row,
            log.images.path(row.sha256),
            item=item,
            label=label,
            modes=modes,
            doubt=doubted.get(row.name, (None, False)),
            split=str(split_of_group(row.group)),
        )
        for row, item, label, modes in zip(mined.rows, mined.chosen.items, mined.labels, mined.modes, strict=True)
    ]
    return WorkbenchJob(
        project=PROJECT,
        day=night,
        samples=samples,
        embeddings=mined.table.features,
        export=days / night / "export",
        days=days,
        near_duplicate_cosine=settings.mining.near_duplicate_cosine,
    )


def record_on_workbench(job: WorkbenchJob, settings: Settings) -> dict[str, Any]:
    """Puts a night on the workbench.

    Returns:
        What the workbench did, or `{"state": "off" | "unavailable", "reason": …}`.
    """
    if settings.mining.workbench == "off":
        return {"state": "off", "reason": "mining.workbench is off in the settings"}
    if not job.samples:
        return {"state": "off", "reason": "nothing was mined"}
    try:
        result = run_workbench(job, workbench_home(settings))
    except WorkbenchError as error:
        logger.warning("workbench_unavailable", got=error.got, do=error.action)
        return {"state": "unavailable", "reason": str(error)}
    return {"state": "filled", "open": "streetvision review", **result.to_dict()}


def workbench_home(settings: Settings) -> Path:
    """Where FiftyOne's database lies."""
    return settings.paths.resolve("data") / "fiftyone"


@contextmanager
def open_review(settings: Settings, reviewer: str, port: int) -> Iterator[ReviewApp]:
    """The App on the project.

    Raises:
        WorkbenchError: the App or its database cannot run.
    """
    with open_app(workbench_home(settings), settings.paths.resolve("data") / "days", PROJECT, reviewer, port) as app:
        yield app


def is_filled(settings: Settings) -> bool:
    """Whether any night was ever put on the workbench."""
    return any(workbench_home(settings).glob("jobs/*/result.json"))
