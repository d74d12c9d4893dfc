import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from streetvision_core.calibration.columns import stage_columns
from streetvision_core.calibration.threshold import raise_threshold
from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.engine import predict_table
from streetvision_core.errors import CalibrationError, CalibrationMismatchError, PreprocessMismatchError
from streetvision_core.scoring.metrics import binary_metrics
from streetvision_core.training.heads import honest_logits, train_heads
from streetvision_core.types import Split
from tests.unit.cascade.toy_street import toy_settings, toy_table, with_evidence


def test_fit_cascade__every_stage_with_evidence_is_calibrated(toy):
    calibration = toy[3]
    assert set(calibration.stages) >= {"classifier", "detectors"}
    assert "vlm" in calibration.absent and "vlm" not in calibration.stages
    assert set(calibration.bands) == {"classifier", "detectors"}
    assert any(band.certified for band in calibration.bands.values())
    known = raise_threshold(calibration.threshold, -toy[4].scoring.new_camera_logits)
    assert 0.3 < known < 0.75 and calibration.prior == pytest.approx(0.5, abs=0.1)
    assert calibration.made_with.origins.keys() == {"toyland", "elsewhere"}
    assert calibration.made_with.detectors is None


def test_fit_cascade__whole_photographs_have_a_higher_threshold_for_cameras_that_nobody_calibrated(toy):
    table, _, head, _, settings = toy
    moved = {}
    for logits in (0.0, 1.5):
        scoring = settings.scoring.model_copy(update={"new_camera_logits": logits})
        for world in ("real", "rendered"):
            worlds = [world] * len(table)
            made = fit_cascade(
                table, head, settings.model_copy(update={"scoring": scoring}), worlds=worlds, world=world
            )
            moved[world, logits] = (made.threshold, made.small.threshold if made.small else None)
    assert moved["real", 1.5][0] == pytest.approx(raise_threshold(moved["real", 0.0][0], 1.5))
    assert moved["real", 1.5][1] == moved["real", 0.0][1]
    assert moved["rendered", 1.5] == moved["rendered", 0.0]


def plain_regression(table, toy):
    """What scikit-learn makes of the columns that the detectors' fusion sees, for TEST: natives and old eras apart."""
    _, _, head, _, settings = toy
    logits, _ = honest_logits(table, head, settings.training, settings.seed)
    columns, _ = stage_columns("detectors", logits, table.evidence)
    test, native = table.in_split(Split.TEST), np.array(table.eras) == "native"
    p = np.zeros(len(table))
    for part in (native, ~native):
        model = LogisticRegression(C=1e3, max_iter=1000).fit(columns[part & ~test], table.labels[part & ~test])
        p[part] = model.predict_proba(columns[part])[:, 1]
    return p[test]


def test_fit_cascade__probabilities_are_calibrated_on_test(toy):
    table, _, head, calibration, _ = toy
    test = table.select(table.in_split(Split.TEST))
    decisions = predict_table(test, head, calibration, "certified")
    metrics, reference = (binary_metrics(p, test.labels) for p in (decisions.calibrated, plain_regression(table, toy)))
    assert metrics.ece < 0.1
    assert metrics.mcc > reference.mcc - 0.02 and metrics.brier < reference.brier + 0.005


def test_fit_cascade__stage_two_helps(toy):
    table, _, head, calibration, _ = toy
    test = table.select(table.in_split(Split.TEST))
    blind = with_evidence(test, np.full_like(test.evidence, np.nan))
    with_detectors, without = (
        binary_metrics(predict_table(t, head, calibration, "certified").p, test.labels) for t in (test, blind)
    )
    assert with_detectors.mcc > without.mcc


def test_fit_cascade__json_and_file_round_trip(toy, tmp_path):
    table, _, head, calibration, _ = toy
    calibration.save(tmp_path)
    restored = CascadeCalibration.load(tmp_path)
    assert json.loads((tmp_path / "calibration.json").read_text()) == json.loads(json.dumps(calibration.to_dict()))
    a, b = (predict_table(table, head, c, "certified") for c in (calibration, restored))
    assert a.p == pytest.approx(b.p, abs=1e-5) and np.array_equal(a.exit_stage, b.exit_stage)


def test_fit_cascade__ignores_test_rows_and_rows_of_weight_zero(toy):
    table, _, head, calibration, settings = toy
    out = table.in_split(Split.TEST)
    extra = np.flatnonzero(table.in_split(Split.CALIBRATE))[:50]
    kept = np.setdiff1d(np.arange(len(table)), extra)
    weights = np.ones(len(table), np.float32)
    weights[extra] = 0
    spoiled = replace(table, labels=np.where(out, 1 - table.labels, table.labels).astype(np.int8), weights=weights)
    a, b = (fit_cascade(t, head, settings).stages["classifier"] for t in (spoiled, table.select(kept)))
    logits = head.predict_logit(table.features)
    assert a.predict(logits, table.evidence) == pytest.approx(b.predict(logits, table.evidence))
    assert fit_cascade(replace(spoiled, weights=table.weights), head, settings).to_dict() == calibration.to_dict()


def with_rendered_rows(table):
    """Half of CALIBRATE as rendered rows that contradict the rest."""
    chosen = np.flatnonzero(table.in_split(Split.CALIBRATE))[::2]
    labels, origins = table.labels.copy(), list(table.origins)
    labels[chosen] = 1 - labels[chosen]
    for i in chosen:
        origins[i] = "street world (rendered)"
    return replace(table, labels=labels, origins=tuple(origins)), chosen


def test_fit_cascade__rendered_rows_move_nothing_that_photographs_meet(toy):
    table, _, head, _, settings = toy
    mixed, chosen = with_rendered_rows(table)
    without = fit_cascade(mixed.select(np.setdiff1d(np.arange(len(mixed)), chosen)), head, settings)
    assert fit_cascade(mixed, head, settings).to_dict() == without.to_dict()
    assert without.made_with.world == "real"


def test_fit_cascade__the_rendered_world_is_calibrated_apart(toy):
    table, _, head, _, settings = toy
    mixed, chosen = with_rendered_rows(table)
    rendered = fit_cascade(mixed, head, settings, world="rendered")
    assert (rendered.made_with.world, set(rendered.made_with.origins)) == ("rendered", {"street world (rendered)"})
    parts = [part.made_with.rows for part in (rendered, rendered.small)]
    assert sum(parts) == len(chosen)
    logits = np.array([-4.0, 4.0])
    low, high = rendered.stages["classifier"].predict(logits, table.evidence[:2])
    assert high - low < 0.5, "its labels contradict the scores"
    told = ["rendered" if i in set(chosen.tolist()) else "real" for i in range(len(mixed))]
    neutral = replace(mixed, origins=("anywhere",) * len(mixed))
    same = fit_cascade(neutral, head, settings, worlds=told, world="rendered")
    assert same.stages["classifier"].to_dict() == rendered.stages["classifier"].to_dict()


def test_fit_cascade__joining_rows_are_of_the_same_world(toy):
    """Too few CALIBRATE groups: cross-fitted TRAIN and SELECT rows join, photographs with photographs only."""
    table, _, head, _, settings = toy
    calibrate = table.in_split(Split.CALIBRATE)
    few = np.concatenate([np.flatnonzero(calibrate & (table.labels == c))[:4] for c in (0, 1)])
    small = table.select(np.concatenate([np.flatnonzero(~calibrate), few]))
    n = [
        fit_cascade(replace(small, origins=origins), head, settings).notes["stages"]["detectors"]["n"]
        for origins in (small.origins, tuple(o if i in set(np.flatnonzero(small.in_split(Split.CALIBRATE)))
                        else f"{o} (composed)" for i, o in enumerate(small.origins)))
    ]  # fmt: skip
    assert n[0] > 8 >= n[1]


@pytest.mark.parametrize("prevalence", [0.02, 0.1])
def test_fit_cascade__the_threshold_follows_the_prevalence(toy, prevalence):
    table, _, head, calibration, settings = toy
    rare = settings.model_copy(update={"scoring": settings.scoring.model_copy(update={"prevalence": prevalence})})
    fitted = fit_cascade(table, head, rare)
    assert fitted.threshold > calibration.threshold + 0.1
    assert (fitted.made_with.prevalence, fitted.made_with.rule) == (prevalence, "sn72")
    assert fitted.stages["detectors"].to_dict() == calibration.stages["detectors"].to_dict()


def test_fit_cascade__stage_one_only(toy):
    table, _, head, _, settings = toy
    calibration = fit_cascade(with_evidence(table, np.full_like(table.evidence, np.nan)), head, settings)
    assert set(calibration.stages) == {"classifier"}
    assert "evidence of stage detectors on 0 TRAIN" in calibration.absent["detectors"]
    assert calibration.bands["classifier"].delta == settings.cascade.delta


@pytest.mark.parametrize("per_class", [2, 4, 12])
def test_fit_cascade__tiny_calibrate_certifies_nothing_and_says_so(toy, per_class):
    table, _, head, _, settings = toy
    calibrate = table.in_split(Split.CALIBRATE)
    few = np.concatenate([np.flatnonzero(calibrate & (table.labels == c))[:per_class] for c in (0, 1)])
    small = table.select(np.concatenate([np.flatnonzero(~calibrate), few]))
    calibration = fit_cascade(small, head, settings)
    assert not any(band.certified for band in calibration.bands.values())
    assert all("independent rows needed" in band.reason for band in calibration.bands.values())
    decisions = predict_table(table, head, calibration, "certified")
    assert not decisions.certified.any() and ((decisions.p > 0) & (decisions.p < 1) & (decisions.p != 0.5)).all()
    logits = head.predict_logit(table.features)
    for part in (calibration, calibration.small or calibration):
        assert part.notes["stages"]["classifier"]["n"] <= 2 * per_class
        for stage, calibrator in part.stages.items():
            # TRAIN and SELECT rows that joined stage 2 (fewer than 5 groups of a class) count as well as CALIBRATE's.
            edge = 1 / (part.notes["stages"][stage]["n"] + 2)
            p = calibrator.predict(logits, table.evidence)
            assert edge <= p.min() and p.max() <= 1 - edge, "so few rows cannot prove more certainty"


def test_fit_cascade__one_class_in_calibrate_is_an_error(toy):
    table, _, head, _, settings = toy
    keep = ~table.in_split(Split.CALIBRATE) | (table.labels == 1)
    with pytest.raises(CalibrationError, match="both occur"):
        fit_cascade(table.select(keep), head, settings)


def test_fit_cascade__another_make_is_refused(toy):
    table, _, head, _, settings = toy
    with pytest.raises(PreprocessMismatchError):
        fit_cascade(replace(table, preprocessing="letterbox-224/2"), head, settings)


def test_fit_cascade__era_variants_are_one_group():
    """Three variants of each photo: bands count photos."""
    settings = toy_settings()
    table, _ = toy_table(240, seed=7)
    tripled = type(table).concat([table] * 3)
    ids = tuple(f"{name}#{i // 240}" for i, name in enumerate(tripled.ids))
    tripled = replace(tripled, ids=ids, groups=table.ids * 3)
    head = train_heads(table, settings.training, 0).head
    once, thrice = (fit_cascade(t, head, settings) for t in (table, tripled))
    band = thrice.bands["classifier"]
    assert band.n_exits <= table.in_split(Split.CALIBRATE).sum()
    assert band.reason == once.bands["classifier"].reason


@pytest.mark.parametrize(
    "content", ["", "{}", '{"format": "cascade-calibration/9"}', '{"format": "cascade-calibration/1", "stages": {}}']
)
def test_calibration_load__broken_files_are_named(tmp_path, content):
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(CalibrationError, match=r"calibration\.json"):
        CascadeCalibration.load(tmp_path)


def older(calibration):
    """The file as it was written before a calibration recorded what it was made with."""
    data = calibration.to_dict()
    made = data.pop("made_with")
    data |= {"format": "cascade-calibration/2", "small": data["small"] and older(calibration.small)}
    data |= {name: made[name] for name in ("backbone", "preprocessing", "rule")}
    return data | {"notes": {**data["notes"], "rows_by_origin": {"toyland": 7}}}


def test_calibration_load__a_version_without_facts_stays_in_service(toy, tmp_path):
    table, _, head, calibration, _ = toy
    (tmp_path / "calibration.json").write_text(json.dumps(older(calibration)))
    loaded = CascadeCalibration.load(tmp_path)
    a, b = (predict_table(table, head, c, "certified") for c in (calibration, loaded))
    assert np.array_equal(a.p, b.p)
    assert (loaded.made_with.detectors, loaded.made_with.world) == (None, "unknown")
    assert loaded.made_with.origins["toyland"].rows == 7
    loaded.check_serving(("any@1", "other@1"))


@pytest.mark.parametrize("detectors", [(), ("dense-lite2@1",)])
def test_check_serving__a_version_without_facts_shows_how_many_detectors_it_had(toy, detectors):
    loaded = CascadeCalibration.from_dict(older(toy[3]))
    with pytest.raises(CalibrationMismatchError, match="2, as when this version was calibrated"):
        loaded.check_serving(detectors)


def test_check_serving__without_evidence_of_detectors_any_will_do(toy):
    table, _, head, _, settings = toy
    blind = fit_cascade(with_evidence(table, np.full_like(table.evidence, np.nan)), head, settings)
    CascadeCalibration.from_dict(older(blind)).check_serving(("dense-lite2@1",))


def test_check_serving__a_calibration_of_the_rendered_world_never_serves(toy):
    calibration = toy[3]
    rendered = replace(calibration, made_with=replace(calibration.made_with, world="rendered"))
    with pytest.raises(CalibrationMismatchError, match="photographs"):
        rendered.check_serving(())
