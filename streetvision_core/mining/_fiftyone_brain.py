"""Brain runs on our stored embeddings. Only for the workbench's own process.

Each day has runs of its own, under keys such as `hardness_2026_03_01`; the similarity index is the project's and grows.
So a later run never takes away what an earlier one found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import fiftyone.brain as fob
import numpy as np
import numpy.typing as npt
from fiftyone.brain.internal.core.hardness import HardnessConfig
from fiftyone.brain.internal.core.mistakenness import ClassificationMistakennessConfig
from fiftyone.core.brain import BrainMethod

from streetvision_core.mining._fiftyone_samples import CLASSES, EMBEDDING
from streetvision_core.mining._scores import entropy, mistakenness

SIMILARITY: Final = "similarity"
FEWEST_NEIGHBOURS: Final = 4


def day_key(what: str, day: str) -> str:
    """The key of a day's run; keys have to be identifiers."""
    return f"{what}_{day.replace('-', '_')}"


def similarity_index(dataset: Any) -> Any:
    """The project's index over the embeddings of every day; made once, later days are added."""
    if dataset.has_brain_run(SIMILARITY):
        index = dataset.load_brain_results(SIMILARITY)
        index.reload()
        return index
    return fob.compute_similarity(
        dataset, embeddings=EMBEDDING, brain_key=SIMILARITY, backend="sklearn", metric="cosine", progress=False
    )


def score_answers(view: Any, day: str) -> None:
    """Hardness and mistakenness of a day, computed over all its samples at once."""
    view.set_values("hardness", entropy(answers(view)).tolist())
    score_labels(view)
    _register(view, HardnessConfig("prediction", "hardness"), day_key("hardness", day))
    config = ClassificationMistakennessConfig("prediction", "truth", "mistakenness", True)
    _register(view, config, day_key("mistakenness", day))


def answers(view: Any) -> npt.NDArray[np.float64]:
    """Probability of road work of each sample."""
    names, shares = view.values(["prediction.label", "prediction.confidence"])
    return np.array([c if name == CLASSES[1] else 1.0 - c for name, c in zip(names, shares, strict=True)])


def score_labels(view: Any) -> None:
    """Mistakenness and whether the answer was wrong, by the labels the samples bear now."""
    p = answers(view)
    names = view.values("truth.label")
    labels = np.array([-1 if name is None else CLASSES.index(name) for name in names])
    values = mistakenness(p, labels)
    view.set_values("mistakenness", [None if np.isnan(v) else v for v in values.tolist()])
    wrong = (p > 0.5) != (labels == 1)
    view.set_values("wrong", [None if k < 0 else bool(w) for k, w in zip(labels, wrong, strict=True)])


def uniqueness(dataset: Any, view: Any, index: Any, day: str, notes: list[str]) -> None:
    """How far each sample of a day is from the day's others."""
    if len(view) < FEWEST_NEIGHBOURS:
        notes.append(f"no uniqueness: it needs {FEWEST_NEIGHBOURS} frames, the day has {len(view)}")
        return
    key = day_key("uniqueness", day)
    forget_runs(dataset, ["uniqueness", key])
    # FiftyOne names the run after the field; under the day's own key it outlives the next day's.
    fob.compute_uniqueness(view, uniqueness_field="uniqueness", similarity_index=index, progress=False)
    dataset.rename_brain_run("uniqueness", key)


def near_duplicates(index: Any, cosine: float) -> int:
    """Tags the samples that have a near-duplicate before them; returns how many."""
    index.find_duplicates(thresh=1.0 - cosine)
    index.samples.select(index.duplicate_ids).tag_samples("near-duplicate")
    return len(index.duplicate_ids)


def leaks(view: Any, index: Any, cosine: float, notes: list[str]) -> int | None:
    """Tags the samples with a near-duplicate in another split; returns how many, None with fewer than two splits."""
    inside = view.exists("split")
    splits = inside.distinct("split")
    if len(splits) < 2:
        notes.append(f"no search for leaks: {len(splits)} split among the day's frames, 2 are needed")
        return None
    # The splits go in as a field's name: a dict of views would be taken for a list of tags.
    found = fob.compute_leaky_splits(inside, "split", threshold=1.0 - cosine, similarity_index=index).leaks_view()
    found.tag_samples("leak")
    return len(found)


def forget_runs(dataset: Any, keys: Iterable[str]) -> None:
    """Removes the records of runs and leaves their values, which belong to other days too."""
    for key in keys:
        if dataset.has_brain_run(key):
            BrainMethod.delete_run(dataset, key, cleanup=False)


def _register(view: Any, config: Any, key: str) -> None:
    method = config.build()
    method.register_run(view, key, overwrite=True, cleanup=False)
    method.save_run_results(view, key, None)
