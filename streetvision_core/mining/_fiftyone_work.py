"""A day's work in FiftyOne: samples, Brain runs, saved views, exports. Only for the workbench's own process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fiftyone as fo

from streetvision_core.mining._fiftyone_brain import (
    day_key,
    forget_runs,
    leaks,
    near_duplicates,
    score_answers,
    similarity_index,
    uniqueness,
)
from streetvision_core.mining._fiftyone_objects import show_objects
from streetvision_core.mining._fiftyone_review import show_decisions
from streetvision_core.mining._fiftyone_samples import day_view, open_dataset, replace_day
from streetvision_core.mining._fiftyone_views import forget_day_views, save_day_views, save_project_views
from streetvision_core.mining._workbench_job import WorkbenchJob, WorkbenchResult
from streetvision_core.mining.review_queue import ReviewQueue

_MOST_LISTED = 10


def work(job: WorkbenchJob) -> WorkbenchResult:
    """Does all of a day's work and says what came of it."""
    seconds: dict[str, float] = {}
    notes: list[str] = []
    with _timed(seconds, "samples"):
        dataset = open_dataset(job.project)
        for gone in replace_day(dataset, job):
            forget_runs(dataset, [day_key(what, gone) for what in ("hardness", "mistakenness", "uniqueness")])
        view = day_view(dataset, job.day)
    with _timed(seconds, "similarity"):
        # With embeddings in a field the index sees every day; near-duplicates and uniqueness are the day's own.
        index = similarity_index(dataset).use_view(view)
        uniqueness(dataset, view, index, job.day, notes)
        duplicates = near_duplicates(index, job.near_duplicate_cosine)
        leaky = leaks(view, index, job.near_duplicate_cosine, notes)
    with _timed(seconds, "scores"):
        score_answers(view, job.day)
        if job.days is not None:
            queue = ReviewQueue.of_data(job.days.parent)
            show_decisions(dataset, queue)
            show_objects(dataset, queue)
    with _timed(seconds, "views"):
        views = [*save_day_views(dataset, view, job.day), *save_project_views(dataset)]
        forget_day_views(dataset)
    with _timed(seconds, "export"):
        exports = _export(view.match_tags("mined"), job.export, notes)
    return WorkbenchResult(
        dataset=job.project,
        samples=len(view),
        total=len(dataset),
        near_duplicates=duplicates,
        leaks=leaky,
        hardest=_top(view, "hardness"),
        unusual=_top(view, "uniqueness"),
        views=tuple(views),
        runs=tuple(dataset.list_brain_runs()),
        exports=exports,
        seconds=seconds,
        notes=tuple(notes),
    )


def _export(mined: Any, folder: Path | None, notes: list[str]) -> dict[str, str]:
    """The mined frames in two formats; those without a label stay out of the class folders."""
    if folder is None or not len(mined):
        notes.append("no export: " + ("no folder was given" if folder is None else "nothing was mined"))
        return {}
    targets = {"fiftyone": folder / "fiftyone", "classes": folder / "classes"}
    for target in targets.values():
        shutil.rmtree(target, ignore_errors=True)
    mined.export(
        export_dir=str(targets["fiftyone"]), dataset_type=fo.types.FiftyOneDataset, export_media=True, progress=False
    )
    labelled = mined.exists("truth")
    if not len(labelled):
        notes.append("no class folders: no mined frame has a label yet")
        return {"fiftyone": str(targets["fiftyone"])}
    labelled.export(
        export_dir=str(targets["classes"]),
        dataset_type=fo.types.ImageClassificationDirectoryTree,
        label_field="truth",
        export_media=True,
        progress=False,
    )
    return {name: str(target) for name, target in targets.items()}


def _top(view: Any, field: str) -> tuple[str, ...]:
    if not view.has_sample_field(field):
        return ()
    return tuple(view.exists(field).sort_by(field, reverse=True).limit(_MOST_LISTED).values("name"))


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 3)
