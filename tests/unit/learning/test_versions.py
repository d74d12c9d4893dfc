"""From a dataset to a version that serves, every step a value: train, calibrate, evaluate, compare, promote."""

from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.cascade.calibration import CALIBRATION_FILE, CascadeCalibration
from streetvision_core.errors import CalibrationMismatchError, RegistryError
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.compare import compare, learned_from
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.learning.evaluate import evaluate
from streetvision_core.learning.first import record_first_version
from streetvision_core.learning.promote import opponent, promote, why_it_waits
from streetvision_core.learning.train import default_candidates, find_head, save_head, train
from streetvision_core.learning.versions import (
    Version,
    first_of_make,
    load_cascade,
    load_version,
    save_version,
    serving_version,
)
from streetvision_core.registry.versions import Registry
from streetvision_core.scoring.shares import REFERENCE_CARD
from streetvision_core.types import Split
from tests.unit.cascade.toy_street import toy_models, toy_settings, toy_table

SETTINGS = toy_settings(alpha=0.1)
POLICY = SETTINGS.cascade.policy
MODELS = toy_models()


def dataset(n, seed=0, rendered=()):
    table, frames = toy_table(n, seed)
    rows = [
        Provenance(
            frame.sha256,
            source="toys",
            world="rendered" if origin in rendered else "real",
            modes=("night",) if i % 3 == 0 else (),
            width=frame.width,
            height=frame.height,
        )
        for i, (frame, origin) in enumerate(zip(frames, table.origins, strict=True))
    ]
    return Dataset(table, tuple(rows), MODELS.detector_keys)


def learn(rows):
    head = train(rows, default_candidates(SETTINGS.training), 0, SETTINGS.training).head
    return head, calibrate(rows, head, SETTINGS)


@pytest.fixture(scope="module")
def small():
    return dataset(210)


@pytest.fixture(scope="module")
def large():
    return dataset(1400, seed=1)


@pytest.fixture(scope="module")
def weak(small):
    """Learned from labels drawn at random, and from no detector."""
    labels = np.random.default_rng(0).integers(0, 2, len(small)).astype(np.int8)
    blind = np.full_like(small.table.evidence, np.nan)
    return Version("weak", *learn(replace(small, table=replace(small.table, labels=labels, evidence=blind))))


@pytest.fixture(scope="module")
def strong(large):
    return Version("strong", *learn(large))


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models")


def saved(registry, version, rows):
    return save_version(registry, version.head, version.calibration, rows, SETTINGS, {"note": version.name})


def test_train__a_candidate_that_was_taken_away_is_not_chosen(small):
    candidates = default_candidates(SETTINGS.training)
    linear = [one for one in candidates if one.kind == "linear"]
    assert {one.spec for one in train(small, linear, 0, SETTINGS.training).leaderboard} == set(linear) < set(candidates)


def test_train__what_is_saved_is_found_and_nothing_else_is(small, tmp_path):
    assert find_head(tmp_path, SETTINGS) is None
    trained = train(small, default_candidates(SETTINGS.training), 0, SETTINGS.training)
    save_head(trained, tmp_path)
    found = find_head(tmp_path, SETTINGS)
    np.testing.assert_array_equal(
        found.predict_logit(small.table.features), trained.head.predict_logit(small.table.features)
    )


def test_calibrate__rendered_rows_move_nothing_that_photographs_meet():
    rows = dataset(900, rendered=("elsewhere",))
    head = train(rows, default_candidates(SETTINGS.training), 0, SETTINGS.training).head
    labels = np.where([row.world == "rendered" for row in rows.rows] & rows.table.in_split(Split.CALIBRATE),
                      1 - rows.table.labels, rows.table.labels)  # fmt: skip
    other = replace(rows, table=replace(rows.table, labels=labels.astype(np.int8)))
    ours, theirs = calibrate(rows, head, SETTINGS), calibrate(other, head, SETTINGS)
    assert ours.to_dict() == theirs.to_dict()
    assert ours.made_with.detectors == MODELS.detector_keys
    assert (
        calibrate(rows, head, SETTINGS, "rendered").to_dict() != calibrate(other, head, SETTINGS, "rendered").to_dict()
    )


def test_evaluate__slices_are_parts_of_the_whole(large, strong):
    test = large.in_split(Split.TEST)
    found = evaluate(strong, test, POLICY, resamples=20)
    frame = found.to_pandas()
    assert frame.loc[frame["by"] == "all", "rows"].tolist() == [len(test)]
    for by in ("world", "origin", "era", "size"):
        assert frame.loc[frame["by"] == by, "rows"].sum() == len(test), by
    nights = [row for row in test.rows if "night" in row.modes]
    assert [(part.name, part.n) for part in found.by_mode] == [("night", len(nights))]
    right = (strong.answer(test, POLICY).p > 0.5) == (test.table.labels == 1)
    assert found.report.overall.metrics["accuracy"].point == pytest.approx(right.mean())
    assert found.to_dict()["overall"]["n"] == len(test)
    assert found.dataset == test.digest


def test_answer__evidence_of_other_detectors_is_refused(small, weak):
    with pytest.raises(CalibrationMismatchError):
        weak.answer(replace(small, detectors=("other@1",)), POLICY)


def test_first_version__serves_and_its_card_names_the_dataset(registry, small):
    with pytest.raises(RegistryError, match="00_setup"):
        serving_version(registry)
    version = record_first_version(registry, small, SETTINGS)
    assert serving_version(registry).name == version.name
    assert version.card["dataset"] == small.digest
    assert sum(version.card[REFERENCE_CARD]) == pytest.approx(1.0)
    cascade = load_cascade(registry, SETTINGS, MODELS, policy="plan")
    assert (cascade.version, cascade.policy.name) == (version.name, "plan")
    with pytest.raises(RegistryError, match="serving already"):
        record_first_version(registry, small, SETTINGS)


def test_save_version__is_read_back_and_registers_the_same_bytes_once(registry, small, weak):
    first = saved(registry, weak, small)
    assert saved(registry, weak, small).name == first.name
    back = load_version(first, SETTINGS)
    np.testing.assert_array_equal(back.answer(small, POLICY).p, weak.answer(small, POLICY).p)
    assert CascadeCalibration.load(first.folder).to_dict() == weak.calibration.to_dict()
    assert (first.folder / CALIBRATION_FILE).is_file()


def test_compare__rows_of_your_stream_are_an_origin_of_their_own(large, weak, strong):
    test = large.table.in_split(Split.TEST)
    origins = tuple(
        "your stream" if t and i % 2 else o for i, (t, o) in enumerate(zip(test, large.table.origins, strict=True))
    )
    rows = replace(large, table=replace(large.table, origins=origins))
    found = compare(weak, strong, None, rows, SETTINGS.gate, POLICY)
    assert "your stream" in {origin["origin"] for origin in found.decision.numbers["origins"]}
    assert len(found.test) == int(test.sum())
    assert found.rows_of(rendered=True).sum() == 0


def test_compare__the_first_version_guards_photographs_alone(large, weak, strong):
    rows = replace(
        large, rows=tuple(replace(r, world="rendered" if i % 4 else "real") for i, r in enumerate(large.rows))
    )
    found = compare(weak, strong, weak, rows, SETTINGS.gate, POLICY)
    erosion = found.decision.numbers["erosion"]
    assert (erosion["first"], erosion["rows"]) == ("weak", int(found.rows_of(rendered=False).sum()))
    assert compare(weak, strong, None, rows, SETTINGS.gate, POLICY).decision.numbers["erosion"] is None


@pytest.fixture
def contest(registry, small, large, weak, strong):
    """A registry in which the weak version serves, and the comparison of both."""
    first, second = saved(registry, weak, small), saved(registry, strong, large)
    registry.install_first(first, by="loop")
    versions = [load_version(one, SETTINGS) for one in (opponent(registry, second.name), second)]
    found = compare(*versions, first_of_make(registry, SETTINGS), large, SETTINGS.gate, POLICY)
    assert found.decision.promote, found.decision.reasons
    return found


def test_promote__auto_puts_it_into_service_and_repeating_changes_nothing(registry, contest):
    event = promote(registry, contest)
    assert (event.action, serving_version(registry).name) == ("promote", contest.challenger.name)
    assert promote(registry, contest) == event
    assert len(registry.history()) == 3
    assert opponent(registry, contest.challenger.name).name == contest.champion.name, (
        "after a kill it is compared again"
    )


def test_promote__ask_lets_it_wait_for_a_person(registry, contest):
    assert promote(registry, contest, "ask").action == "pass"
    assert serving_version(registry).name == contest.champion.name
    assert "approve" in why_it_waits(registry, contest.challenger.name)
    registry.approve(None, by="anna")
    assert serving_version(registry).name == contest.challenger.name


def test_promote__a_refused_challenger_leaves_the_champion(registry, contest, large):
    back = compare(contest.challenger, contest.champion, None, large, SETTINGS.gate, POLICY)
    promote(registry, contest)
    assert promote(registry, back).action == "refuse"
    assert serving_version(registry).name == contest.challenger.name


def test_learned_from__names_rows_by_source(small):
    n = len(small.in_split(Split.TRAIN))
    assert learned_from(small) == f"{n} TRAIN rows: {n} of toys"
