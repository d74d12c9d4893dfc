"""The learning tasks of three days, end to end, on the toy street world: only frozen models and scenes are small."""

import csv
import datetime as dt
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.cli import _engine
from streetvision_core.data.challenge_set import TrainedGroups
from streetvision_core.data.looks import Looks
from streetvision_core.data.scenes import SceneFrame
from streetvision_core.data.starter import StarterPack
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import LeakError
from streetvision_core.images.decode import decode_image
from streetvision_core.learning import assemble, challenge, facing, memory, versions
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.compare import compare
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.doubts import likely_label_errors
from streetvision_core.learning.first import record_first_version
from streetvision_core.learning.promote import opponent, promote
from streetvision_core.learning.train import default_candidates, train
from streetvision_core.loop import plots, tasks
from streetvision_core.loop.tasks import bridge, mining, queries
from streetvision_core.loop.tasks.annotation import QUEUE_FILE, WEAK_FILE, weak_labels
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.finding import SHOWN_SCORE, find_objects, look_at_early_answers, weak_sources
from streetvision_core.mining import stream
from streetvision_core.mining.objects import OBJECTS_FILE
from streetvision_core.mining.querylog import NewQuery
from streetvision_core.mining.sources import VLM
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.vlm import YesNo
from streetvision_core.types import Box, Frame, Split
from tests.unit.cascade.toy_street import toy_frame, toy_models, toy_settings, toy_table

DAYS = [dt.date(2026, 11, 20 + i) for i in range(3)]


def toy_scene(seed, roadwork=True, modes=None):
    """A toy frame of the asked label under the scene's own seed."""
    number = next(n for n in range(seed % 2**20 * 50, 2**40) if toy_frame(n)[1] == int(roadwork))
    found = frozenset(modes or (("night",) if number % 4 == 0 else ()))
    return SceneFrame(toy_frame(number)[0], int(roadwork), (), (), found, f"scene-{seed}")


def answer_in_process(day):
    """The day's queries answered without a server: its model process could not know the toy models."""
    total = day.settings.loop.queries_per_day
    sent = list(stream.day_stream(day.number, total, day.settings.seed))
    verdicts = tasks.load_cascade(day).predict([decode_image(q.jpeg_bytes, q.group) for q in sent])
    moment = dt.datetime.combine(day.date, dt.time(12), dt.UTC)
    day.log.append_many(
        [
            NewQuery(q.jpeg_bytes, verdict, q.era, q.group, q.origin, moment, q.truth, q.modes)
            for q, verdict in zip(sent, verdicts, strict=True)
        ]
    )
    return total


def set_up(day, pack):
    """What notebook 00 does with SAVE."""
    observer, data = tasks.observer_of(day), day.workspace.data
    if challenge.load_challenge(day.settings, observer, pack, data) is None:
        chosen = challenge.choose_challenge(day.settings, observer, pack, challenge.taught_groups(data, observer))
        rows = challenge.observe_challenge(chosen, day.settings, observer, pack)
        challenge.save_challenge(chosen, rows, observer, data)
    if day.registry.serving() is None:
        record_first_version(day.registry, assemble.base_rows(day.settings, observer, pack), day.settings)


def dataset_of(day):
    """The dataset of a night, made from all sources."""
    labels = assemble.known_labels(day.settings, day.log.rows())
    return assemble.assemble(day.settings, tasks.observer_of(day), day.log, labels, day.date.isoformat())[0]


def learn(day, pack):
    """What notebooks 01, 02, 03 and 08 do with SAVE."""
    settings, registry, data = day.settings, day.registry, day.workspace.data
    observer, dataset = tasks.observer_of(day), dataset_of(day)
    chosen, rows = challenge.load_challenge(settings, observer, pack, data)
    challenge.check_challenge(dataset, chosen, rows, challenge.taught_groups(data, observer))
    head = train(dataset, default_candidates(settings.training), settings.seed, settings.training).head
    challenge.record_taught(dataset, challenge.taught_groups(data, observer))
    calibration = calibrate(dataset, head, settings)
    name = versions.save_version(registry, head, calibration, dataset, settings, {}).name
    challenger = versions.Version(name, head, calibration)
    champion = versions.load_version(opponent(registry, name), settings)
    first = versions.first_of_make(registry, settings)
    comparison = compare(champion, challenger, first, dataset, settings.gate, settings.cascade.policy)
    promote(registry, comparison)
    serving = registry.champion().name
    looks = Looks(facing.looks_file(data), chosen.digest)
    faced = facing.record_faced_challenge(champion, challenger, chosen, rows, looks, settings, serving)
    known = memory.with_comparison(memory.load_memory(data), comparison)
    memory.record_memory(data, known)
    return comparison, faced, memory.measure_memory(known, serving, dataset.notes)


def face(day, comparison, settings=None):
    """Both versions of a comparison before the challenge set once more."""
    chosen, table = tasks.challenge_set(day)
    rows = Dataset.of_table(table, "challenge set", tasks.observer_of(day).detectors)
    looks = Looks(facing.looks_file(day.workspace.data), chosen.digest)
    pair, serving = (comparison.champion, comparison.challenger), day.registry.champion().name
    return facing.record_faced_challenge(*pair, chosen, rows, looks, settings or day.settings, serving)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    base, _ = toy_table(900)
    pack = StarterPack(base, base.select([]), ("CC0",) * len(base), {"detectors": toy_models().detector_keys})
    for module in (assemble, bridge):
        patch.setattr(module, "load_starter", lambda: pack)
    patch.setattr(stream.scenes, "render", toy_scene)
    patch.setattr(stream.scenes, "drive", lambda seed, n, fps, roadwork: [toy_scene(seed + i) for i in range(n)])
    patch.setattr(queries, "answer_demo_stream", answer_in_process)
    home = tmp_path_factory.mktemp("home")
    settings = toy_settings(alpha=0.1)
    settings = settings.model_copy(
        update={
            "paths": settings.paths.model_copy(update={"home": home}),
            "loop": settings.loop.model_copy(
                update={"queries_per_day": 120, "heldout_frames": 80, "synthetic_per_day": 8}
            ),
            "mining": settings.mining.model_copy(update={"budget": 60, "near_duplicate_cosine": 0.99999}),
            "annotate": settings.annotate.model_copy(update={"precision": 0.8}),
        }
    )
    # Toy features are colour means: different frames are far closer than two street photos ever are.
    patch.setattr("streetvision_core.data.challenge_set.NEAR_DUPLICATE", 1.1)
    days = []
    for date in DAYS:
        day = Day(settings, date)
        day.__dict__["models"] = toy_models()
        set_up(day, pack)
        mined = tasks.mine(day)
        drift = tasks.watch_drift(day, mined)
        tasks.synthesize(day, tasks.plan_synthesis(day, mined))
        comparison, faced, forgotten = learn(day, pack)
        days.append((day, mined, drift, comparison, faced, forgotten))
    yield days
    patch.undo()


def test_challenge__is_the_same_set_every_day_and_looks_are_counted(world):
    told = [faced for *_, faced, _ in world]
    assert len({one.sha256 for one in told}) == 1
    assert told[0].looks < told[1].looks < told[2].looks
    assert told[0].bits <= told[2].bits
    assert told[0].error_fresh == told[2].error_fresh < told[2].error_now
    assert not told[0].warning, "its size alone is no reason to warn"
    assert told[0].parts[0].name == "all"
    assert all(name in told[0].withheld for name in ("toyland", "night", "66 groups"))


def test_challenge__asking_again_shows_nothing_new(world):
    day, _, _, comparison, faced, _ = world[-1]
    assert face(day, comparison) == faced


def test_challenge__a_warning_comes_when_it_was_looked_at_too_often(world):
    day, _, _, comparison, faced, _ = world[-1]
    strict = day.settings.challenge.model_copy(update={"tolerance": faced.error_now - 0.001})
    warned = face(day, comparison, day.settings.model_copy(update={"challenge": strict}))
    assert "collect a new set" in warned.warning


def test_training__a_leak_into_the_challenge_set_stops_it(world):
    day, *_ = world[-1]
    chosen, table = tasks.challenge_set(day)
    observer, dataset = tasks.observer_of(day), dataset_of(day)
    rows = Dataset.of_table(table, "challenge set", observer.detectors)
    groups = (next(iter(chosen.groups)), *dataset.table.groups[1:])
    splits = (Split.TRAIN, *dataset.table.splits[1:])
    leaked = replace(dataset, table=replace(dataset.table, groups=groups, splits=splits))
    taught = challenge.taught_groups(day.workspace.data, observer)
    with pytest.raises(LeakError, match="challenge set"):
        challenge.check_challenge(leaked, chosen, rows, taught)
    challenge.check_challenge(dataset, chosen, rows, taught)


def test_training__every_group_that_taught_is_remembered(world):
    day, *_ = world[-1]
    table = dataset_of(day).table
    taught = TrainedGroups(day.workspace.data / "challenge" / "taught.txt")
    mask = ~table.in_split(Split.TEST)
    assert all(group in taught for group, teaches in zip(table.groups, mask, strict=True) if teaches)


def test_memory__is_measured_on_base_photos_against_the_best_version(world):
    *_, memory = world[-1]
    assert [row.origin for row in memory.rows] == ["all real photos", "elsewhere", "toyland"]
    assert all(row.forgotten == pytest.approx(row.best - row.now, abs=1e-6) for row in memory.rows)
    assert all(row.forgotten >= 0 for row in memory.rows)
    assert 0 < memory.stream_share <= 0.5 + 1e-6


def test_drift__goes_on_from_day_to_day_and_a_repeated_day_counts_once(world):
    day, mined, drift, *_ = world[1]
    again = tasks.watch_drift(day, mined)
    assert again == drift
    first = {row.kind: row.watched for row in world[0][2].rows}
    second = {row.kind: row.watched for row in drift.rows}
    if drift.since == DAYS[0].isoformat():
        assert all(second[kind] > first[kind] for kind in ("input", "prediction"))
    assert all(not row.alarm_day for row in world[0][2].rows)


def test_weak_labels__later_days_learn_from_what_was_reviewed(world):
    summaries = [json.loads((day.folder / WEAK_FILE).read_text())["summary"] for day, *_ in world]
    assert summaries[0]["accepted"] == 0
    assert summaries[0]["reviewed_before"] == 0
    assert summaries[2]["reviewed_before"] > summaries[1]["reviewed_before"] > 0
    assert {source["name"] for source in summaries[2]["sources"]} >= {"head", "dense-lite2", "yolo12n"}
    assert summaries[2]["accepted"] + summaries[2]["queued"] == summaries[2]["frames"]
    day = world[2][0]
    with (day.folder / QUEUE_FILE).open() as file:
        sheet = list(csv.DictReader(file))
    assert len(sheet) == summaries[2]["queued"]


def test_label_errors__a_flipped_label_is_doubted_and_shown_with_both_labels(world):
    day, mined, *_ = world[0]
    path = day.folder / mining.MINED_FILE
    table = FeatureTable.load(path)
    flipped = int(np.flatnonzero(table.labels >= 0)[0])
    wrong = table.labels.copy()
    wrong[flipped] = 1 - wrong[flipped]
    replace(table, labels=wrong).save(path)
    try:
        doubted = tasks.label_doubts(day)
    finally:
        table.save(path)
    name = table.ids[flipped].rpartition("/")[2]
    at = [row.name for row in mined.rows].index(name)
    given = tuple(int(wrong[flipped]) if i == at else label for i, label in enumerate(mined.labels))
    found = likely_label_errors(mined.rows, given, doubted)
    [one] = [one for one in found if one.row.name == name]
    assert (one.given, one.suggested) == (wrong[flipped], table.labels[flipped])
    assert [other.quality for other in found] == sorted(other.quality for other in found)
    figure = plots.label_errors(day, found)
    captions = [axis.get_title() for axis in figure.axes if axis.images]
    assert len(captions) == min(len(found), 12)
    assert f"given: {('none', 'road work')[one.given]}, suggested: {('none', 'road work')[one.suggested]}" in "".join(
        caption for caption in captions if caption.startswith(f"{name}\n")
    )


@pytest.mark.parametrize(("era", "told"), [("native", ("night",)), ("letterbox-224", ())])
def test_mined_modes__only_rules_that_hold_in_the_querys_era_speak(world, era, told):
    _, mined, *_ = world[0]
    black = Frame.from_pixels(np.zeros((90, 160, 3), np.uint8), "black")
    assert mining._modes(replace(mined.rows[0], modes=(), era=era), black, [], frozenset()) == told


class Colours:
    """An image-text model that knows orange and says so of every third frame only."""

    name = "colours"

    def answer_each(self, frames, question=None):
        return [YesNo(None if i % 3 else 0.9, 0.9, "yes") for i, _ in enumerate(frames)]


def test_weak_labels__the_profiles_image_text_model_is_a_source_where_it_answers(world):
    day, mined, *_ = world[-1]
    asked = Day(day.settings, day.date)
    asked.__dict__["models"] = ModelSet(
        lambda: day.models.backbone, day.models.preprocessor, lambda: day.models.detectors, vlm=Colours
    )
    frames = [tasks.picture(day, row) for row in mined.rows]
    before = (day.folder / WEAK_FILE).read_bytes()
    try:
        weak = weak_labels(asked, mined.rows, frames)
    finally:
        (day.folder / WEAK_FILE).write_bytes(before)
    assert [VLM in said for said in weak.said] == [i % 3 == 0 for i in range(len(frames))]
    assert VLM in weak.judge.model.sources
    plain = [replace(row, modes=()) for row in mined.rows[:3]]
    assert mining._asked(asked, plain, frames[:3]) == [frozenset({"rain", "occlusion", "unusual"}), *[frozenset()] * 2]
    assert mining._asked(day, plain, frames[:3]) == [frozenset()] * 3


class Corner:
    """A finder whose box depends on the frame, so that frames taken for one another would show."""

    version = "1"

    def __init__(self, name):
        self.name = name

    def detect(self, frames):
        return [(Box(0, 0, 5, 5, "cone", round(float(frame.pixels.mean()) / 255, 4)),) for frame in frames]


def test_find_objects__early_answers_get_boxes_and_a_later_run_replaces_only_its_own(world):
    day, mined, *_ = world[-1]
    frames = [tasks.picture(day, row) for row in mined.rows]
    early = {row.name: frame for row, frame in zip(mined.rows, frames, strict=True) if len(row.verdict.evidence) == 1}
    assert early, "some answers must have come before stage 2"
    before = (day.folder / OBJECTS_FILE).read_bytes()
    first = find_objects(day, mined.rows, frames, [Corner("a")])
    second = find_objects(day, mined.rows, frames, [Corner("b")])
    (day.folder / OBJECTS_FILE).write_bytes(before)
    for name, frame in early.items():
        boxes = tasks.boxes_of(frame, day.models)
        shown = {source: sum(box.score >= SHOWN_SCORE for box in found) for source, found in boxes.items()}
        assert {source: len(first[name][source]) for source in boxes} == shown
    assert all(set(second[row.name]) == {*first[row.name], "b"} for row in mined.rows)
    assert all(second[row.name]["a"] == first[row.name]["a"] for row in mined.rows)
    scores = weak_sources(mined.rows, second, ["a", "b"])["b"]
    assert [scores(frame) for frame in frames] == [Corner("b").detect([frame])[0][0].score for frame in frames]
    assert len({scores(frame) for frame in frames}) > 1


def test_mine__puts_down_the_boxes_of_every_frame_and_looks_at_an_early_one_once(world, monkeypatch, tmp_path):
    day, mined, *_ = world[0]
    kept = day.review.objects(day.date.isoformat())
    names = {detector.name for detector in day.models.detectors}
    assert set(kept) == {row.name for row in mined.rows}
    assert all(set(by_source) == names for by_source in kept.values())
    looks = Counter()

    class Counted:
        version = "1"

        def __init__(self, detector):
            self.name, self._detector = detector.name, detector

        def detect(self, frames):
            looks.update(frame.sha256 for frame in frames)
            return self._detector.detect(frames)

    again = Day(day.settings, day.date)
    again.__dict__["models"] = ModelSet(
        lambda: day.models.backbone,
        day.models.preprocessor,
        lambda: tuple(map(Counted, day.models.detectors)),
        ocr=lambda: day.models.ocr,
    )
    frames = [tasks.picture(day, row) for row in mined.rows]
    early = [frame for row, frame in zip(mined.rows, frames, strict=True) if len(row.verdict.evidence) == 1]
    assert early
    assert look_at_early_answers(again, mined.rows, frames) == {}, "objects.json holds their boxes"
    before = (day.folder / OBJECTS_FILE).read_bytes()
    (day.folder / OBJECTS_FILE).unlink()
    seen = look_at_early_answers(again, mined.rows, frames)
    (day.folder / OBJECTS_FILE).write_bytes(before)
    once = {frame.sha256: len(names) for frame in early}
    assert looks == once
    monkeypatch.setattr(Day, "feature_store", tmp_path / "empty.sqlite")
    told, asked = again.observe(early, "told", seen)[1], day.observe(early, "asked")[1]
    assert looks == once, "the evidence came from the boxes seen"
    assert np.array_equal(told, asked, equal_nan=True)


def test_sections__labels_in_doubt_are_shown_worst_first(world):
    day, mined, *_ = world[0]
    names = [row.name for row, label in zip(mined.rows, mined.labels, strict=True) if label is not None]
    judged = {name: (0.4 - 0.04 * i, i < 9) for i, name in enumerate(names)}
    told = tasks.sections.doubts(day, mined, judged)
    assert (told.judged, told.suspects) == (len(names), 9)
    assert [one.name for one in told.pictures] == names[8:0:-1]
    assert [one.given for one in told.pictures] == [
        mined.labels[[row.name for row in mined.rows].index(one.name)] for one in told.pictures
    ]
    assert "renderer" in told.note, "a doubt about an exact label is no error"
    asked = replace(mined, rows=tuple(replace(row, truth=None) for row in mined.rows))
    assert tasks.sections.doubts(day, asked, judged).note == ""
    tasks.tell(day, "doubts", told)
    assert tasks.build_story(day, []).doubts == told
    assert tasks.sections.doubts(day, mined, {}).pictures == ()


def test_annotate_command__looks_once_and_keeps_what_it_saw(world, monkeypatch, capsys):
    day, mined, *_ = world[-1]
    looks = []

    class Counted(Corner):
        def detect(self, frames):
            looks.append(len(frames))
            return super().detect(frames)

    monkeypatch.setattr(tasks, "open_day", lambda profile, date: day)
    monkeypatch.setattr(tasks, "load_mined", lambda day, demo: mined)
    monkeypatch.setattr(_engine, "_finders", lambda zero_shot, segmenter: [Counted("corner")])
    before = {name: (day.folder / name).read_bytes() for name in (WEAK_FILE, OBJECTS_FILE)}
    try:
        _engine.annotate(as_json=True)
        said = [entry["said"]["corner"] for entry in json.loads((day.folder / WEAK_FILE).read_text())["frames"]]
        found = day.review.objects(day.date.isoformat())
    finally:
        for name, content in before.items():
            (day.folder / name).write_bytes(content)
    assert json.loads(capsys.readouterr().out)["frames"] == len(mined.rows) == len(looks)
    assert said == [found[row.name]["corner"][0].box.score for row in mined.rows]


def test_mined_rows__the_champions_mistakes_weigh_more(world):
    day, mined, *_ = world[0]
    table = FeatureTable.load(day.folder / "mined.npz")
    hard = np.array([weight > 1 for weight in table.weights])
    assert hard.sum() == sum(bool(wrong) for wrong in mined.wrong)
    dataset = dataset_of(day)
    logged = dataset.select(np.array([row.source == "query log" for row in dataset.rows]))
    image = {query.name: query.sha256 for query in day.log.rows()}  # the toy world sends some images twice
    filed = dict(zip([image[name.rpartition("/")[2]] for name in table.ids], table.labels, strict=True))
    assert dict(zip([row.image for row in logged.rows], logged.table.labels, strict=True)) == filed
    assert {row.labelled_by for row in logged.rows} == {"renderer"}
