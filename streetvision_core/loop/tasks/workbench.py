"""Puts the mined frames on FiftyOne's workbench; where it cannot run, says so and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from streetvision_core.errors import WorkbenchError
from streetvision_core.learning.measured import split_of_group
from streetvision_core.loop.tasks.bridge import label_doubts
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MinedDay, load_mined
from streetvision_core.mining.review_app import ReviewApp, open_app
from streetvision_core.mining.workbench import WorkbenchJob, WorkbenchSample, run_workbench

logger = structlog.get_logger(__name__)
PROJECT: Final = "streetvision"


def fill_workbench(day: Day, mined: MinedDay) -> dict[str, Any]:
    """One dataset with a view per day, Brain runs on our embeddings, and exports of the mined set.

    Returns:
        What the workbench did, or `{"state": "off" | "unavailable", "reason": …}`.
    """
    home = day.workspace.data / "fiftyone"
    if day.settings.mining.workbench == "off":
        return {"state": "off", "reason": "mining.workbench is off in the settings"}
    if not mined.rows:
        return {"state": "off", "reason": "nothing was mined"}
    try:
        result = run_workbench(_job(day, mined), home)
    except WorkbenchError as error:
        logger.warning("workbench_unavailable", got=error.got, do=error.action)
        return {"state": "unavailable", "reason": str(error)}
    return {"state": "filled", "open": "streetvision review", **result.to_dict()}


@contextmanager
def open_review(day: Day, reviewer: str, port: int) -> Iterator[ReviewApp]:
    """The App on the project; puts the day on the workbench first where no day ever was.

    Raises:
        WorkbenchError: the App or its database cannot run.
        LoopError: no day was ever put on the workbench, and this one has no queries.
    """
    home = day.workspace.data / "fiftyone"
    if not any(home.glob("jobs/*/result.json")):
        run_workbench(_job(day, load_mined(day, demo=False)), home)
    with open_app(home, day.review.folder, PROJECT, reviewer, port) as app:
        yield app


def _job(day: Day, mined: MinedDay) -> WorkbenchJob:
    doubted = label_doubts(day)
    samples = [
        WorkbenchSample.from_row(
            row,
            day.log.images.path(row.sha256),
            item=item,
            label=label,
            modes=modes,
            doubt=doubted.get(row.name, (None, False)),
            split=str(split_of_group(row.group)),
        )
        for row, item, label, modes in zip(mined.rows, mined.chosen.items, mined.labels, mined.modes, strict=True)
    ]
    rows = [item.row for item in mined.chosen.items]
    return WorkbenchJob(
        project=PROJECT,
        day=day.date.isoformat(),
        samples=samples,
        embeddings=mined.table.features[rows],
        export=day.folder / "export",
        days=day.review.folder,
        near_duplicate_cosine=day.settings.mining.near_duplicate_cosine,
    )
