"""From a workspace to its dataset: decisions of any day count, and what the probe drew measures for good."""

import datetime as dt
import shutil
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data.challenge_set import TrainedGroups
from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import StarterPack
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.labels import Decision, LabelStore
from streetvision_core.labels.migrate import decisions_of_old_days
from streetvision_core.learning import assemble, challenge
from streetvision_core.learning.build import YOUR_STREAM
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.compare import compare
from streetvision_core.learning.first import record_first_version
from streetvision_core.learning.measured import record_measured
from streetvision_core.learning.versions import load_cascade, load_version
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.mining.select import MinedItem, MinedSet
from streetvision_core.models import hub
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import load_settings
from streetvision_core.types import Split, Verdict
from streetvision_core.workspace import FILE
from tests.tiny_dinov3 import save_timm
from tests.unit.cascade.toy_street import OCR_WIDTH, toy_frame, toy_models, toy_settings, toy_table

FORMAT_1 = Path(__file__).parents[2] / "fixtures" / "workspace-1"
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DRAWN = range(1, 41)
"""Numbers of the queries that the random probe drew; each is a drive of its own."""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Sixty real queries on two days, each its own group, of which forty were drawn blindly; none has a label."""
    base, _ = toy_table(140)
    pack = StarterPack(base, base.select([]), ("CC0",) * len(base), {"detectors": toy_models().detector_keys})
    monkeypatch.setattr(assemble, "load_starter", lambda: pack)
    settings = toy_settings(alpha=0.1)
    settings = settings.model_copy(
        update={
            "paths": settings.paths.model_copy(update={"home": tmp_path}),
            "loop": settings.loop.model_copy(update={"heldout_frames": 8}),
            # toy features are colour means: different frames are far closer than two photographs ever are
            "mining": settings.mining.model_copy(update={"near_duplicate_cosine": 1.0}),
        }
    )
    data = settings.paths.resolve("data")
    with QueryLog(data / "queries") as log:
        for i in range(60):
            verdict = Verdict(0.9, "classifier", True, (), "v1", "certified", 0.01)
            when = NOON + dt.timedelta(days=i // 30)
            log.append_many(
                [NewQuery(encode_jpeg(toy_frame(900 + i)[0].pixels, 95), verdict, "native", f"drive-{i}", "http", when)]
            )
        items = tuple(MinedItem(f"query-{i}", i, f"drive-{i - 1}", (reason(i),), 0.5, {}) for i in range(1, 61))
        (data / "days" / "2026-11-21").mkdir(parents=True)
        MinedSet(items, 60, 0, 60, 0).save(data / "days" / "2026-11-21" / assemble.MINED_SET)
        with LabelStore(data / "labels.sqlite") as store:
            yield settings, Observer(toy_models(), tmp_path / "f.sqlite", OCR_WIDTH), log, store


def reason(number):
    return "random probe" if number in DRAWN else "uncertain"


def say(store, queries, source, when=NOON):
    store.record_decisions([Decision(q.sha256, toy_frame(900 + q.id - 1)[1], source, "anna", when) for q in queries])


def dataset_of(workspace):
    settings, observer, log, _ = workspace
    made, measured = assemble.assemble(settings, observer, log, assemble.known_labels(settings))
    record_measured(settings.paths.resolve("data"), measured)
    return made


def ours(dataset):
    return dataset.select(np.array([row.source == "query log" for row in dataset.rows], bool))


def test_assemble__machine_labels_of_drawn_groups_wait_and_a_persons_measure(workspace):
    settings, _, log, store = workspace
    queries = log.rows()
    say(store, queries, "machine")
    first = dataset_of(workspace)
    assert YOUR_STREAM not in first.table.origins
    waiting = first.notes["waiting_for_a_person"]
    assert waiting == pytest.approx(settings.learning.measured_share * len(DRAWN), abs=8)
    assert len(ours(first)) == 60 - waiting
    say(store, [q for q in queries if q.id in DRAWN], "person", NOON + dt.timedelta(days=30))
    second = dataset_of(workspace)
    measured = second.select(np.array(second.table.origins) == YOUR_STREAM)
    assert len(measured) == waiting and second.notes["waiting_for_a_person"] == 0
    assert set(measured.table.splits) == {Split.CALIBRATE, Split.TEST}
    assert {row.labelled_by for row in measured.rows} == {"person"}
    assert {row.labelled_by for row in ours(second).rows} == {"person", "machine"}


def test_assemble__a_group_that_taught_before_it_was_drawn_goes_on_teaching(workspace):
    settings, observer, log, store = workspace
    say(store, log.rows(), "person")
    taught = challenge.taught_groups(settings.paths.resolve("data"), observer)
    taught.add(f"drive-{i}" for i in range(60))
    assert YOUR_STREAM not in dataset_of(workspace).table.origins


def test_assemble__what_measures_stays_though_it_calibrates_and_so_has_taught(workspace):
    settings, observer, log, store = workspace
    say(store, log.rows(), "person")
    first = dataset_of(workspace)
    challenge.record_taught(first, challenge.taught_groups(settings.paths.resolve("data"), observer))
    assert TrainedGroups(settings.paths.resolve("data") / "challenge" / "taught.txt")
    again = dataset_of(workspace)
    assert again.digest == first.digest
    settings = settings.model_copy(update={"learning": settings.learning.model_copy(update={"measured_share": 0.0})})
    assert dataset_of((settings, observer, log, store)).digest == first.digest, "a smaller share takes nothing back"


def test_assemble__your_stream_calibrates_and_is_an_origin_of_the_gate(workspace, tmp_path):
    settings, _, log, store = workspace
    say(store, log.rows(), "person")
    dataset = dataset_of(workspace)
    registry = Registry(tmp_path / "models")
    version = load_version(record_first_version(registry, dataset, settings), settings)
    assert YOUR_STREAM in version.calibration.made_with.origins
    found = compare(version, version, None, dataset, settings.gate, settings.cascade.policy)
    assert YOUR_STREAM in {origin["origin"] for origin in found.decision.numbers["origins"]}
    again = calibrate(dataset, version.head, settings)
    assert again.to_dict() == version.calibration.to_dict()


@pytest.mark.parametrize("profile", ["light", "platinum"])
def test_first_version__of_a_big_profile_comes_from_a_folder_of_photographs_and_serves(profile, tmp_path, monkeypatch):
    # to random weights all photographs look alike
    monkeypatch.setattr("streetvision_core.data.build_starter.NEAR_DUPLICATE_COSINE", 1.1)
    loaded = load_settings(profile)
    save_timm(tmp_path / "hub" / loaded.models.backbone)
    hub.record(loaded.models.backbone, tmp_path / "hub" / loaded.models.backbone)
    for i in range(60):
        frame, label = toy_frame(i)
        path = tmp_path / "mine" / ("roadwork" if label else "none") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(frame.pixels, 95))
    # the head learns from photographs; the other stages have their own tests on small checkpoints
    models = {"detectors": (), "vlm": None, "video_vlm": None, "ocr": None, "device": "cpu", "folder": tmp_path / "hub"}
    settings = loaded.model_copy(
        update={
            "models": loaded.models.model_copy(update=models),
            "paths": loaded.paths.model_copy(update={"home": tmp_path}),
            "learning": loaded.learning.model_copy(update={"photos": ("mine",)}),
            "loop": loaded.loop.model_copy(update={"heldout_frames": 4}),
            "training": toy_settings().training,
        }
    )
    observer = Observer.of(settings)
    base = assemble.base_rows(settings, observer)
    assert {row.source for row in base.rows} == {"photos: mine", "held-out scenes"}
    registry = Registry(tmp_path / "models")
    version = record_first_version(registry, base, settings)
    (verdict,) = load_cascade(registry, settings, observer.models).predict([toy_frame(99)[0]])
    assert (verdict.model_version, verdict.exit_stage) == (version.name, "classifier")
    assert 0 < verdict.p_roadwork < 1


def test_known_labels__a_workspace_of_format_1_has_what_its_days_files_say(tmp_path):
    home = tmp_path / "old"
    shutil.copytree(FORMAT_1, home)
    settings = toy_settings()
    settings = settings.model_copy(update={"paths": settings.paths.model_copy(update={"home": home})})
    found = assemble.known_labels(settings)
    decided = decisions_of_old_days(home / "data" / "days")
    assert {label.source for label in found.values()} == {decision.source for decision in decided} >= {"person"}
    assert set(found) == {decision.image for decision in decided if not decision.only_tags}
    (home / FILE).write_text("format: 2\n")
    assert assemble.known_labels(settings) == {}, "once migrated the store alone holds them"
