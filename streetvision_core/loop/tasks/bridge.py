"""What the notebooks that still open a `Day` ask of `learning`, with the day's values."""

from __future__ import annotations

from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.report import CascadeReport
from streetvision_core.data.challenge_set import ChallengeSet
from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.learning.assemble import base_rows
from streetvision_core.learning.challenge import choose_challenge, load_challenge, observe_challenge, taught_groups
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.doubts import label_doubts as doubts_of
from streetvision_core.learning.drift import drift_scores
from streetvision_core.learning.drift import watch_drift as bet
from streetvision_core.learning.evaluate import evaluate, stage_seconds
from streetvision_core.learning.photos import Photo
from streetvision_core.learning.photos import classify_photos as classify
from streetvision_core.learning.sources import RANDOM_PROBE, pack_fits, starter_rows
from streetvision_core.learning.versions import load_cascade as cascade_of
from streetvision_core.learning.versions import load_version, serving_version
from streetvision_core.learning.watch import Drift
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MINED_FILE, MinedDay
from streetvision_core.mining.drift import DriftState
from streetvision_core.registry.versions import ModelVersion
from streetvision_core.types import Split

POLICIES = ("certified", "plan")
STATE_FILE = "drift.json"


def observer_of(day: Day) -> Observer:
    """The day's frozen models."""
    return Observer(day.models, day.feature_store, day.settings.cascade.ocr_min_width_pixels)


def champion_of(day: Day) -> ModelVersion:
    """The version that serves."""
    return serving_version(day.registry)


def load_cascade(day: Day) -> Cascade:
    """The version that serves, as a running cascade."""
    return cascade_of(day.registry, day.settings, day.models)


def evaluate_champion(day: Day) -> dict[str, CascadeReport]:
    """The serving version on the TEST rows there are before the night learns, under each exit policy."""
    version = load_version(serving_version(day.registry), day.settings)
    test = base_rows(day.settings, observer_of(day)).in_split(Split.TEST)
    seconds = stage_seconds(day.log.rows(day.date))
    return {name: evaluate(version, test, name, stage_seconds=seconds).report for name in POLICIES}


def classify_photos(day: Day, limit: int) -> list[Photo]:
    """Up to `limit` photographs, answered by the version that serves."""
    return classify(load_cascade(day), day.workspace.streets, limit, day.settings.seed + day.number)


def challenge_set(day: Day) -> tuple[ChallengeSet, FeatureTable]:
    """The workspace's challenge set and its rows; where none was saved, the one that would be."""
    observer, pack = observer_of(day), load_starter()
    found = load_challenge(day.settings, observer, pack, day.workspace.data)
    if found is None:
        chosen = choose_challenge(day.settings, observer, pack, taught_groups(day.workspace.data, observer))
        found = chosen, observe_challenge(chosen, day.settings, observer, pack)
    return found[0], found[1].table


def label_doubts(day: Day) -> dict[str, tuple[float, bool]]:
    """Label quality and suspicion of the day's labelled rows, by query."""
    observer, pack = observer_of(day), load_starter()
    table = FeatureTable.load(day.folder / MINED_FILE)
    real = starter_rows(pack, observer).real if pack_fits(day.settings, pack) else None
    mined = Dataset.of_table(table, "query log", observer.detectors)
    return doubts_of(mined, real if real is not None else mined, day.settings.seed)


def watch_drift(day: Day, mined: MinedDay) -> Drift:
    """Bets the day's queries against "nothing has changed"; the state goes to `drift.json` and `data/drift.json`."""
    version = mined.rows[0].verdict.model_version if mined.rows else "none"
    probes = [i for i, item in enumerate(mined.chosen.items) if RANDOM_PROBE in item.reasons]
    drawn = [
        (mined.rows[i].group, label, mined.rows[i].verdict.p_roadwork)
        for i in probes
        if (label := mined.labels[i]) is not None
    ]
    reference = base_rows(day.settings, observer_of(day))
    scores = drift_scores(mined.table.features, mined.answers, mined.table.groups, reference, drawn, day.number)
    after, drift = bet(_earlier(day, version), day.date.isoformat(), scores)
    after.save(day.folder / STATE_FILE)
    after.save(day.workspace.data / STATE_FILE)
    return drift


def _earlier(day: Day, version: str) -> DriftState:
    """The latest earlier day's state; a new one where another version served or nothing was watched."""
    folders = sorted((day.workspace.data / "days").glob("????-??-??"), reverse=True)
    paths = [f / STATE_FILE for f in folders if f.name < day.date.isoformat()]
    latest = next((path for path in paths if path.exists()), None)
    if latest is not None and (state := DriftState.load(latest)).version == version:
        return state
    return DriftState.start(version, day.date.isoformat())
