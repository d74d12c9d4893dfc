import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from streetvision_core.calibration.columns import stage_columns
from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.engine import predict_table
from streetvision_core.errors import CalibrationError, PreprocessMismatchError
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
    assert 0.3 < calibration.threshold < 0.75 and calibration.prior == pytest.approx(0.5, abs=0.1)
    assert calibration.notes["rows_by_origin"].keys() == {"toyland", "elsewhere"}


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
