"""Three nights of learning, end to end, on the toy street world: only frozen models and scenes are small."""

import csv
import datetime as dt
import json
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.cli import _engine, _night
from streetvision_core.cli._night import OpenNight
from streetvision_core.data.challenge_set import TrainedGroups
from streetvision_core.data.looks import Looks
from streetvision_core.data.observe import Observer, boxes_of
from streetvision_core.data.scenes import SceneFrame
from streetvision_core.data.starter import StarterPack
from streetvision_core.errors import LeakError
from streetvision_core.images.decode import decode_image
from streetvision_core.labels import LabelStore, label_store_path
from streetvision_core.learning import assemble, challenge, facing, label, memory, mine_night, versions
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.compare import compare
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.doubts import label_doubts, likely_label_errors
from streetvision_core.learning.drift import drawn_blindly, drift_scores, load_drift, save_drift, watch_drift
from streetvision_core.learning.finding import SHOWN_SCORE, find_objects, look_at_early_answers, weak_sources
from streetvision_core.learning.first import record_first_version
from streetvision_core.learning.mine import load_mined, observe_queries, read_frames
from streetvision_core.learning.promote import opponent, promote
from streetvision_core.learning.sources import logged_rows, starter_rows
from streetvision_core.learning.synthesize import plan_synthesis, save_synthetic, synthesize
from streetvision_core.learning.train import default_candidates, train
from streetvision_core.learning.weak import QUEUE_FILE, WEAK_FILE, label_weakly, load_reviewed
from streetvision_core.loop import plots
from streetvision_core.loop.demo import day_number
from streetvision_core.loop.report import build, sections
from streetvision_core.mining import stream
from streetvision_core.mining.objects import OBJECTS_FILE, load_objects
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.mining.sources import VLM
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.vlm import YesNo
from streetvision_core.registry.versions import open_registry
from streetvision_core.types import Box, Frame, Split
from tests.unit.cascade.toy_street import toy_frame, toy_models, toy_settings, toy_table

DAYS = [dt.date(2026, 11, 20 + i) for i in range(3)]


def toy_scene(seed, roadwork=True, modes=None):
    """A toy frame of the asked label under the scene's own seed."""
    number = next(n for n in range(seed % 2**20 * 50, 2**40) if toy_frame(n)[1] == int(roadwork))
    found = frozenset(modes or (("night",) if number % 4 == 0 else ()))
    return SceneFrame(toy_frame(number)[0], int(roadwork), (), (), found, f"scene-{seed}")


class Night:
    """The values of one night, as a notebook opens them."""

    def __init__(self, settings, date, models=None):
        self.settings, self.date, self.name = settings, date, date.isoformat()
        self.data = settings.paths.resolve("data")
        self.folder = self.data / "days" / self.name
        self.observer = Observer(models or toy_models(), self.data / "features.sqlite", 320)
        self.registry = open_registry(settings)
        self.log = QueryLog(self.data / "queries")
        self.store = LabelStore(label_store_path(settings))

    @property
    def models(self):
        return self.observer.models

    @property
    def queries(self):
        return self.log.rows(self.date)

    def frames(self, mined):
        return list(read_frames(mined.rows, self.log, self.settings.decode))

    def read(self, row):
        return decode_image(self.log.image(row.sha256), row.name)

    def open(self):
        """What a command that works on this night gets."""
        return OpenNight(self.settings, self.folder, self.queries, self.log, self.store, self.observer)


def answer_in_process(night):
    """The night's queries answered without a server: its model process could not know the toy models."""
    total = night.settings.loop.queries_per_day
    sent = list(stream.day_stream(day_number(night.date), total, night.settings.seed))
    cascade = versions.load_cascade(night.registry, night.settings, night.models)
    verdicts = cascade.predict([decode_image(q.jpeg_bytes, q.group) for q in sent])
    moment = dt.datetime.combine(night.date, dt.time(12), dt.UTC)
    night.log.append_many(
        [
            NewQuery(q.jpeg_bytes, verdict, q.era, q.group, q.origin, moment, q.truth, q.modes)
            for q, verdict in zip(sent, verdicts, strict=True)
        ]
    )


def set_up(night, pack):
    """What notebook 00 does with SAVE."""
    observer, data, settings = night.observer, night.data, night.settings
    if challenge.load_challenge(settings, observer, pack, data) is None:
        chosen = challenge.choose_challenge(settings, observer, pack, challenge.taught_groups(data, observer))
        rows = challenge.observe_challenge(chosen, settings, observer, pack)
        challenge.save_challenge(chosen, rows, observer, data)
    if night.registry.serving() is None:
        record_first_version(night.registry, assemble.base_rows(settings, observer, pack), settings)


def watch(night, mined):
    """What notebook 06 says of drift, with SAVE."""
    table = observe_queries(night.queries, night.log, night.observer, night.settings.decode)
    answers = np.array([row.verdict.p_roadwork for row in night.queries])
    reference = assemble.base_rows(night.settings, night.observer)
    scores = drift_scores(
        table.features, answers, table.groups, reference, drawn_blindly(mined), day_number(night.date)
    )
    before = load_drift(night.data, night.name, mined.rows[0].verdict.model_version)
    state, drift = watch_drift(before, night.name, scores)
    save_drift(state, night.data, night.name)
    return drift


def dataset_of(night):
    """The dataset of a night, made from all sources."""
    labels = assemble.known_labels(night.settings)
    return assemble.assemble(night.settings, night.observer, night.log, labels, night.name)[0]


def challenge_of(night, pack):
    return challenge.load_challenge(night.settings, night.observer, pack, night.data)


def learn(night, pack):
    """What notebooks 01, 02, 03 and 08 do with SAVE."""
    settings, registry, data = night.settings, night.registry, night.data
    observer, dataset = night.observer, dataset_of(night)
    chosen, rows = challenge_of(night, pack)
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


def face(night, comparison, settings=None):
    """Both versions of a comparison before the challenge set once more."""
    chosen, rows = challenge_of(night, assemble.load_starter())
    looks = Looks(facing.looks_file(night.data), chosen.digest)
    pair, serving = (comparison.champion, comparison.challenger), night.registry.champion().name
    return facing.record_faced_challenge(*pair, chosen, rows, looks, settings or night.settings, serving)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    base, _ = toy_table(900)
    pack = StarterPack(base, base.select([]), ("CC0",) * len(base), {"detectors": toy_models().detector_keys})
    for module in (assemble, mine_night):
        patch.setattr(module, "load_starter", lambda: pack)
    patch.setattr(stream.scenes, "render", toy_scene)
    patch.setattr(stream.scenes, "drive", lambda seed, n, fps, roadwork: [toy_scene(seed + i) for i in range(n)])
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
        night = Night(settings, date)
        set_up(night, pack)
        answer_in_process(night)
        mined = night.open().select()
        drift = watch(night, mined)
        plan = plan_synthesis(mined, settings.loop.synthetic_per_day)
        save_synthetic(synthesize(plan, night.observer, day_number(date), settings.seed), night.folder)
        comparison, faced, forgotten = learn(night, pack)
        days.append((night, mined, drift, comparison, faced, forgotten))
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
    chosen, rows = challenge_of(day, assemble.load_starter())
    observer, dataset = day.observer, dataset_of(day)
    groups = (next(iter(chosen.groups)), *dataset.table.groups[1:])
    splits = (Split.TRAIN, *dataset.table.splits[1:])
    leaked = replace(dataset, table=replace(dataset.table, groups=groups, splits=splits))
    taught = challenge.taught_groups(day.data, observer)
    with pytest.raises(LeakError, match="challenge set"):
        challenge.check_challenge(leaked, chosen, rows, taught)
    challenge.check_challenge(dataset, chosen, rows, taught)


def test_training__every_group_that_taught_is_remembered(world):
    day, *_ = world[-1]
    table = dataset_of(day).table
    taught = TrainedGroups(day.data / "challenge" / "taught.txt")
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
    again = watch(day, mined)
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
    labels = day.store.labels()
    rows = Dataset.concat(list(logged_rows(mined.rows, labels, day.log, day.observer, 2.0).values()))
    right = rows.table.labels
    wrong = right.copy()
    wrong[0] = 1 - wrong[0]
    flipped = replace(rows, table=replace(rows.table, labels=wrong))
    doubted = label_doubts(flipped, starter_rows(assemble.load_starter(), day.observer).real, day.settings.seed)
    name = rows.table.ids[0].rpartition("/")[2]
    at = [row.name for row in mined.rows].index(name)
    given = tuple(int(wrong[0]) if i == at else label for i, label in enumerate(mined.labels))
    found = likely_label_errors(mined.rows, given, doubted)
    [one] = [one for one in found if one.row.name == name]
    assert (one.given, one.suggested) == (wrong[0], right[0])
    assert [other.quality for other in found] == sorted(other.quality for other in found)
    figure = plots.label_errors(found[:12], dict(zip([row.name for row in mined.rows], day.frames(mined), strict=True)))
    captions = [axis.get_title() for axis in figure.axes if axis.images]
    assert len(captions) == min(len(found), 12)
    assert f"given: {('none', 'road work')[one.given]}, suggested: {('none', 'road work')[one.suggested]}" in "".join(
        caption for caption in captions if caption.startswith(f"{name}\n")
    )


@pytest.mark.parametrize(("era", "told"), [("native", ("night",)), ("letterbox-224", ())])
def test_mined_modes__only_rules_that_hold_in_the_querys_era_speak(world, era, told):
    _, mined, *_ = world[0]
    black = Frame.from_pixels(np.zeros((90, 160, 3), np.uint8), "black")
    assert label._modes(replace(mined.rows[0], modes=(), era=era), black, [], frozenset()) == told


class Colours:
    """An image-text model that knows orange and says so of every third frame only."""

    name = "colours"

    def answer_each(self, frames, question=None):
        return [YesNo(None if i % 3 else 0.9, 0.9, "yes") for i, _ in enumerate(frames)]


def test_weak_labels__the_profiles_image_text_model_is_a_source_where_it_answers(world):
    day, mined, *_ = world[-1]
    asked = ModelSet(lambda: day.models.backbone, day.models.preprocessor, lambda: day.models.detectors, vlm=Colours)
    frames = day.frames(mined)
    reviewed = load_reviewed(day.data, day.name, day.store.labels())
    weak = label_weakly(mined.rows, frames, reviewed, day.settings.annotate.precision, asked.vlm)
    assert [VLM in said for said in weak.said] == [i % 3 == 0 for i in range(len(frames))]
    assert VLM in weak.judge.model.sources
    plain = [replace(row, modes=()) for row in mined.rows[:3]]
    assert label._asked(plain, frames[:3], asked) == [frozenset({"rain", "occlusion", "unusual"}), *[frozenset()] * 2]
    assert label._asked(plain, frames[:3], day.models) == [frozenset()] * 3


class Corner:
    """A finder whose box depends on the frame, so that frames taken for one another would show."""

    version = "1"

    def __init__(self, name):
        self.name = name

    def detect(self, frames):
        return [(Box(0, 0, 5, 5, "cone", round(float(frame.pixels.mean()) / 255, 4)),) for frame in frames]


def test_find_objects__early_answers_get_boxes_and_a_later_run_replaces_only_its_own(world):
    day, mined, *_ = world[-1]
    frames = day.frames(mined)
    early = {row.name: frame for row, frame in zip(mined.rows, frames, strict=True) if len(row.verdict.evidence) == 1}
    assert early, "some answers must have come before stage 2"
    seen = look_at_early_answers(mined.rows, frames, day.models, {})
    first = find_objects(mined.rows, frames, {}, seen, [Corner("a")])
    second = find_objects(mined.rows, frames, first, seen, [Corner("b")])
    for name, frame in early.items():
        boxes = boxes_of(frame, day.models)
        shown = {source: sum(box.score >= SHOWN_SCORE for box in found) for source, found in boxes.items()}
        assert {source: len(first[name][source]) for source in boxes} == shown
    assert all(set(second[row.name]) == {*first[row.name], "b"} for row in mined.rows)
    assert all(second[row.name]["a"] == first[row.name]["a"] for row in mined.rows)
    scores = weak_sources(mined.rows, second, ["a", "b"])["b"]
    assert [scores(frame) for frame in frames] == [Corner("b").detect([frame])[0][0].score for frame in frames]
    assert len({scores(frame) for frame in frames}) > 1


def test_mine__puts_down_the_boxes_of_every_frame_and_looks_at_an_early_one_once(world, tmp_path):
    day, mined, *_ = world[0]
    kept = load_objects(day.folder / OBJECTS_FILE)
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

    counted = ModelSet(
        lambda: day.models.backbone,
        day.models.preprocessor,
        lambda: tuple(map(Counted, day.models.detectors)),
        ocr=lambda: day.models.ocr,
    )
    frames = day.frames(mined)
    early = [frame for row, frame in zip(mined.rows, frames, strict=True) if len(row.verdict.evidence) == 1]
    assert early
    assert look_at_early_answers(mined.rows, frames, counted, kept) == {}, "objects.json holds their boxes"
    seen = look_at_early_answers(mined.rows, frames, counted, {})
    once = {frame.sha256: len(names) for frame in early}
    assert looks == once
    again = Observer(counted, tmp_path / "empty.sqlite", 320)
    told, asked = again.observe(early, "told", seen)[1], day.observer.observe(early, "asked")[1]
    assert looks == once, "the evidence came from the boxes seen"
    assert np.array_equal(told, asked, equal_nan=True)


def test_load_mined__gives_what_was_saved_with_the_labels_that_hold_now(world):
    day, mined, *_ = world[0]
    again = load_mined(day.folder, day.queries, day.store.labels())
    assert (again.chosen, again.rows, again.labels, again.modes) == (
        mined.chosen,
        mined.rows,
        mined.labels,
        mined.modes,
    )
    assert np.array_equal(again.table.features, mined.table.features)
    assert set(load_mined(day.folder, day.queries, {}).labels) == {None}


def test_sections__labels_in_doubt_are_shown_worst_first(world):
    day, mined, *_ = world[0]
    names = [row.name for row, label in zip(mined.rows, mined.labels, strict=True) if label is not None]
    judged = {name: (0.4 - 0.04 * i, i < 9) for i, name in enumerate(names)}
    told = sections.doubts(mined, judged, day.read)
    assert (told.judged, told.suspects) == (len(names), 9)
    assert [one.name for one in told.pictures] == names[8:0:-1]
    assert [one.given for one in told.pictures] == [
        mined.labels[[row.name for row in mined.rows].index(one.name)] for one in told.pictures
    ]
    assert "renderer" in told.note, "a doubt about an exact label is no error"
    asked = replace(mined, rows=tuple(replace(row, truth=None) for row in mined.rows))
    assert sections.doubts(asked, judged, day.read).note == ""
    build.save_section(day.folder, "doubts", told)
    assert build.build_story(day.settings, day.name, []).doubts == told
    assert sections.doubts(mined, {}, day.read).pictures == ()


def test_annotate_command__looks_once_and_keeps_what_it_saw(world, monkeypatch, capsys):
    day, mined, *_ = world[-1]
    looks = []

    class Counted(Corner):
        def detect(self, frames):
            looks.append(len(frames))
            return super().detect(frames)

    monkeypatch.setattr(_night, "open_night", lambda profile, date: nullcontext(day.open()))
    monkeypatch.setattr(_engine, "_finders", lambda zero_shot, segmenter: [Counted("corner")])
    before = {name: (day.folder / name).read_bytes() for name in (WEAK_FILE, OBJECTS_FILE)}
    try:
        _engine.annotate(as_json=True)
        said = [entry["said"]["corner"] for entry in json.loads((day.folder / WEAK_FILE).read_text())["frames"]]
        found = load_objects(day.folder / OBJECTS_FILE)
    finally:
        for name, content in before.items():
            (day.folder / name).write_bytes(content)
    assert json.loads(capsys.readouterr().out)["frames"] == len(mined.rows) == len(looks)
    assert said == [found[row.name]["corner"][0].box.score for row in mined.rows]


def test_logged_rows__what_was_answered_wrongly_weighs_more(world):
    day, mined, *_ = world[0]
    weight = day.settings.balance.hard_weight
    rows = Dataset.concat(list(logged_rows(mined.rows, day.store.labels(), day.log, day.observer, weight).values()))
    wrong = {row.sha256: bool(bad) for row, bad in zip(mined.rows, mined.wrong, strict=True)}
    assert {row.image: w > 1 for row, w in zip(rows.rows, rows.table.weights, strict=True)} == wrong
    dataset = dataset_of(day)
    logged = dataset.select(np.array([row.source == "query log" for row in dataset.rows]))
    held = {row.sha256: label for row, label in zip(mined.rows, mined.labels, strict=True)}
    assert dict(zip([row.image for row in logged.rows], logged.table.labels, strict=True)) == held
    assert {row.labelled_by for row in logged.rows} == {"renderer"}
