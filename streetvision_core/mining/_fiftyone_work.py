"""A day's work in FiftyOne: samples, Brain runs, saved views, exports. Only for the workbench's own process."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
from fiftyone.core.brain import BrainMethod

from streetvision_core.mining._fiftyone_samples import EMBEDDING, day_view, open_dataset, replace_day
from streetvision_core.mining._workbench_job import WorkbenchJob, WorkbenchResult

SIMILARITY = "similarity"
_MOST_LISTED = 10
_FEWEST_NEIGHBOURS = 4


def work(job: WorkbenchJob) -> WorkbenchResult:
    """Does all of a day's work and says what came of it."""
    seconds: dict[str, float] = {}
    notes: list[str] = []
    with _timed(seconds, "samples"):
        dataset = open_dataset(job.project)
        replace_day(dataset, job)
        view = day_view(dataset, job.day)
    with _timed(seconds, "brain"):
        index = _similarity(dataset, view)
        _hardness_and_uniqueness(dataset, view, index, notes)
        near_duplicates = _near_duplicates(index, job)
        leaks = _leaks(view, index, job, notes)
    with _timed(seconds, "views"):
        views = _save_views(dataset, view, job.day)
    with _timed(seconds, "export"):
        exports = _export(view.match_tags("mined"), job.export, notes)
    return WorkbenchResult(
        dataset=job.project,
        samples=len(view),
        total=len(dataset),
        near_duplicates=near_duplicates,
        leaks=leaks,
        hardest=_top(view, "hardness"),
        unusual=_top(view, "uniqueness"),
        views=tuple(views),
        exports=exports,
        seconds=seconds,
        notes=tuple(notes),
    )


def _similarity(dataset: Any, view: Any) -> Any:
    """Similarity on our stored embeddings; the index replaces the one of an earlier run."""
    if dataset.has_brain_run(SIMILARITY):
        dataset.delete_brain_run(SIMILARITY)
    index = fob.compute_similarity(
        view, embeddings=EMBEDDING, brain_key=SIMILARITY, backend="sklearn", metric="cosine", progress=False
    )
    # With embeddings in a field the index sees every day; near-duplicates and uniqueness are the day's own.
    return index.use_view(view)


def _hardness_and_uniqueness(dataset: Any, view: Any, index: Any, notes: list[str]) -> None:
    for field in ("hardness", "uniqueness"):
        if dataset.has_brain_run(field):
            # Without cleanup: the values of earlier days stay, only the record of the run goes.
            BrainMethod.delete_run(dataset, field, cleanup=False)
    fob.compute_hardness(view, "prediction", hardness_field="hardness", progress=False)
    if len(view) < _FEWEST_NEIGHBOURS:
        notes.append(f"no uniqueness: it needs {_FEWEST_NEIGHBOURS} frames, the day has {len(view)}")
        return
    fob.compute_uniqueness(view, uniqueness_field="uniqueness", similarity_index=index, progress=False)


def _near_duplicates(index: Any, job: WorkbenchJob) -> int:
    index.find_duplicates(thresh=1.0 - job.near_duplicate_cosine)
    index.samples.select(index.duplicate_ids).tag_samples("near-duplicate")
    return len(index.duplicate_ids)


def _leaks(view: Any, index: Any, job: WorkbenchJob, notes: list[str]) -> int | None:
    inside = view.exists("split")
    splits = inside.distinct("split")
    if len(splits) < 2:
        notes.append(f"no search for leaks: {len(splits)} split among the day's frames, 2 are needed")
        return None
    # The splits go in as a field's name: a dict of views would be taken for a list of tags.
    threshold = 1.0 - job.near_duplicate_cosine
    leaks = fob.compute_leaky_splits(inside, "split", threshold=threshold, similarity_index=index).leaks_view()
    leaks.tag_samples("leak")
    return len(leaks)


def _save_views(dataset: Any, view: Any, day: str) -> list[str]:
    views = {
        f"{day} all": view,
        f"{day} mined": view.match_tags("mined").sort_by("cascade_hardness", reverse=True),
        f"{day} hardest": view.sort_by("hardness", reverse=True).limit(100),
        f"{day} wrong": view.match(fo.ViewField("wrong")),
        f"{day} near-duplicates": view.match_tags("near-duplicate"),
        f"{day} leaks": view.match_tags("leak"),
    }
    for name, chosen in views.items():
        dataset.save_view(name, chosen, overwrite=True)
    for name in dataset.list_saved_views():
        if name.split(" ")[0] not in dataset.distinct("day"):
            dataset.delete_saved_view(name)
    return list(views)


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
