"""Notebook 06 in one call, for `streetvision select`: choose, look, weigh, label, keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import LoopError
from streetvision_core.labels import LabelStore
from streetvision_core.learning.challenge import load_challenge
from streetvision_core.learning.finding import find_objects, look_at_early_answers
from streetvision_core.learning.label import find_modes, label, labels_with, record_labels, save_annotated
from streetvision_core.learning.mine import (
    Mined,
    known_features,
    mine,
    observe_queries,
    read_frames,
    save_mined,
    score_hardness,
)
from streetvision_core.learning.weak import label_weakly, load_reviewed, save_weak
from streetvision_core.mining.objects import OBJECTS_FILE, load_objects, save_objects
from streetvision_core.mining.querylog import QueryLog, QueryRow
from streetvision_core.settings import Settings


def challenge_rows(settings: Settings, observer: Observer) -> FeatureTable | None:
    """Rows of the workspace's challenge set; None before there is one."""
    found = load_challenge(settings, observer, load_starter(), settings.paths.resolve("data"))
    return None if found is None else found[1].table


def record_mined_night(
    settings: Settings, queries: Sequence[QueryRow], log: QueryLog, observer: Observer, store: LabelStore, night: Path
) -> Mined:
    """Chooses among queries, keeps the choice in the night's folder and what programs know in the label store.

    Args:
        settings: budget, caps, precision.
        queries: the night's.
        log: holds their images.
        observer: whose features.
        store: the label store.
        night: the night's folder.

    Raises:
        LoopError: there is no query.
    """
    if not queries:
        raise LoopError(
            got=f"no query in the night {night.name}",
            allowed="a night in which queries came",
            action="point a server at this workspace, or name another night with --day",
        )
    data, decided = settings.paths.resolve("data"), store.decisions()
    table = observe_queries(queries, log, observer, settings.decode)
    known = known_features(data, night.name, table, challenge_rows(settings, observer))
    mined = mine(queries, table, score_hardness(queries, table), known, settings.mining, settings.seed)
    frames, before = list(read_frames(mined.rows, log, settings.decode)), load_objects(night / OBJECTS_FILE)
    seen = look_at_early_answers(mined.rows, frames, observer.models, before)
    objects = find_objects(mined.rows, frames, before, seen)
    reviewed = load_reviewed(data, night.name, store.labels())
    weak = label_weakly(mined.rows, frames, reviewed, settings.annotate.precision, observer.models.vlm)
    annotated = label(mined, weak, log.image)
    labels = labels_with(annotated, decided)
    mined = find_modes(mined.with_labels(labels), frames, objects, labels, observer.models)
    save_mined(mined, night)
    save_objects(night / OBJECTS_FILE, objects)
    save_weak(weak, night)
    save_annotated(annotated, night)
    record_labels(annotated, store)
    return mined
