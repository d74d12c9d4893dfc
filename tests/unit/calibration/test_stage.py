import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from streetvision_core.calibration.columns import has_run, stage_columns
from streetvision_core.calibration.stage import StageCalibrator, fit_stage
from streetvision_core.errors import CalibrationError
from streetvision_core.models.evidence import EVIDENCE_NAMES
from tests.unit.calibration.simulated import detector_evidence, scored

N = 600
Z, Y, _ = scored(N, seed=1, temperature=3.0)
EVIDENCE = detector_evidence(Y, seed=2)
GROUPS = [str(i) for i in range(N)]
FUSION = np.arange(N) % 2 == 0


def fitted(stage="detectors", evidence=EVIDENCE, fusion=FUSION, calibrate=~FUSION):
    return fit_stage(stage, Z, evidence, Y, GROUPS, fusion, calibrate)


def accuracy(p, rows=~FUSION):
    return ((p > 0.5) == Y)[rows].mean()


def test_fit_stage__classifier_keeps_the_logit():
    stage = fitted("classifier")
    assert np.array_equal(stage.calibrator.score(Z, EVIDENCE), Z)
    assert np.array_equal(stage.rows, np.flatnonzero(~FUSION))


def test_fit_stage__evidence_helps():
    first, second = fitted("classifier").calibrator, fitted().calibrator
    assert accuracy(second.predict(Z, EVIDENCE)) > accuracy(first.predict(Z, EVIDENCE)) + 0.05


def test_fit_stage__useless_evidence_does_little_harm():
    """Judged on new rows: stage 1's calibrator may be Venn-Abers, which decides the rows it was fitted on too well."""
    first, second = fitted("classifier").calibrator, fitted(evidence=detector_evidence(np.zeros(N), seed=3)).calibrator
    z, y, _ = scored(5000, seed=4, temperature=3.0)
    noise = detector_evidence(np.zeros(5000), seed=5)
    assert np.mean((second.predict(z, noise) > 0.5) == y) > np.mean((first.predict(z, noise) > 0.5) == y) - 0.02
    assert roc_auc_score(y, second.score(z, noise)) > roc_auc_score(y, z) - 0.01


def test_fit_stage__is_calibrated():
    p = fitted().calibrator.predict(Z, EVIDENCE)[~FUSION]
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        some = (p >= low) & (p <= high)
        assert abs(p[some].mean() - Y[~FUSION][some].mean()) < 0.1


def test_fit_stage__missing_evidence_never_gives_nan():
    evidence = detector_evidence(Y, seed=4, missing=0.3)
    stage = fitted(evidence=evidence)
    assert len(stage.rows) == (has_run("detectors", evidence) & ~FUSION).sum() < (~FUSION).sum()
    one_detector = EVIDENCE.copy()
    for i, name in enumerate(EVIDENCE_NAMES):
        if name.startswith(("yolo12n.", "agree.")):
            one_detector[:, i] = np.nan
    for rows in (evidence, one_detector, np.full_like(EVIDENCE, np.nan)):
        p = stage.calibrator.predict(Z, rows)
        assert np.isfinite(p).all() and ((p > 0) & (p < 1)).all()


def test_fit_stage__a_detector_that_sometimes_failed_is_told_apart():
    """Missing exactly on road work: the indicator carries the label."""
    evidence = EVIDENCE.copy()
    yolo = [i for i, name in enumerate(EVIDENCE_NAMES) if name.startswith("yolo12n.")]
    evidence[np.ix_(Y == 1, yolo)] = np.nan
    stage = fitted(evidence=evidence)
    assert stage.calibrator.fusion.missing["yolo12n"] > 0.5
    assert accuracy(stage.calibrator.predict(Z, evidence)) > 0.95


def test_fit_stage__scores_never_saw_calibrate():
    """Turning the labels of CALIBRATE round changes the calibrator's fate but not one score."""
    turned = Y.copy()
    turned[~FUSION] = np.random.default_rng(0).permutation(turned[~FUSION])
    a = fitted()
    b = fit_stage("detectors", Z, EVIDENCE, np.where(FUSION, Y, turned), GROUPS, FUSION, ~FUSION)
    assert np.array_equal(a.scores, b.scores)


def test_fit_stage__halves_calibrate_where_training_rows_hold_no_evidence():
    evidence = EVIDENCE.copy()
    evidence[FUSION] = np.nan
    stage = fitted(evidence=evidence)
    assert "CALIBRATE" in stage.note and len(stage.rows) == (~FUSION).sum() // 2
    assert stage.calibrator.fusion.rows + len(stage.rows) == (~FUSION).sum() and stage.judges.all()


def test_fit_stage__says_when_there_is_no_evidence_at_all():
    with pytest.raises(CalibrationError, match="evidence of stage ocr on 0 TRAIN"):
        fitted("ocr")


def test_stage_calibrator__json_round_trip():
    calibrator = fitted(evidence=detector_evidence(Y, seed=4, missing=0.3)).calibrator
    restored = StageCalibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert restored.predict(Z, EVIDENCE) == pytest.approx(calibrator.predict(Z, EVIDENCE), abs=1e-6)


def test_stage_columns__reads_no_later_stage():
    later = EVIDENCE.copy()
    later[:, [i for i, name in enumerate(EVIDENCE_NAMES) if name.startswith("ocr.")]] = 7.0
    assert np.array_equal(stage_columns("detectors", Z, later)[0], stage_columns("detectors", Z, EVIDENCE)[0])
    columns, names = stage_columns("detectors", Z, EVIDENCE)
    assert names == ("logit", "dense-lite2.device.max", "yolo12n.device.max", "agree.max")
    assert columns.shape == (N, len(names))


def test_fit_stage__classifier_needs_calibrate_itself():
    with pytest.raises(CalibrationError):
        fitted("classifier", calibrate=~FUSION & (Y == 1))


def with_text(rows, y=Y):
    """Evidence of which only `rows` were read; road work names itself there."""
    evidence = EVIDENCE.copy()
    evidence[np.ix_(rows, [EVIDENCE_NAMES.index(f"ocr.{what}") for what in ("keywords", "negated")])] = 0.0
    evidence[rows, EVIDENCE_NAMES.index("ocr.keywords")] = 2.0 * y[rows]
    return evidence


def test_fit_stage__rows_nobody_read_teach_stage_4_too():
    """A few rows with text move the score by what the text says; that they were read says nothing."""
    read = np.flatnonzero(np.random.default_rng(5).random(N) < 0.1)
    stage, second = fitted("ocr", evidence=with_text(read)), fitted()
    assert stage.judges.sum() == (~FUSION).sum() and "ocr" not in stage.calibrator.fusion.missing
    silent = with_text(np.arange(N), np.zeros(N))
    spread = stage.calibrator.score(Z, silent) - second.calibrator.score(Z, EVIDENCE)
    assert np.abs(spread - spread.mean()).max() < 1.0
    assert (stage.calibrator.score(Z, with_text(np.arange(N), np.ones(N))) > stage.calibrator.score(Z, silent)).all()


def test_fit_stage__a_class_that_calibrate_hardly_knows_is_calibrated_on_cross_fitted_rows():
    few = ~FUSION & ((Y == 0) | (np.cumsum((Y == 1) & ~FUSION) <= 3))
    stage = fitted(calibrate=few)
    assert stage.judges.sum() == few.sum() and len(stage.rows) == few.sum() + FUSION.sum()
    joined = stage.rows[~stage.judges]
    assert FUSION[joined].all()
    honest, own = stage.scores[~stage.judges], stage.calibrator.score(Z, EVIDENCE)[joined]
    assert not np.allclose(honest, own)  # scored by fits that have not seen the row
    assert len(fitted().rows) == (~FUSION).sum()  # enough of both: CALIBRATE alone


def test_fit_stage__no_origin_outweighs_the_others():
    """A camera that took most of the road work does not decide how much detectors are worth."""
    origins = np.where(Y == 1, "roadworks camera", "street camera").tolist()
    assert fit_stage("detectors", Z, EVIDENCE, Y, GROUPS, FUSION, ~FUSION, origins=origins).judges.all()
    some = np.arange(N) % 4 == 0
    broken = EVIDENCE.copy()
    broken[~some] = detector_evidence(np.zeros(N), seed=6)[~some]
    places = np.where(some, "small", "big").tolist()
    fair = fit_stage("detectors", Z, broken, Y, GROUPS, FUSION, ~FUSION, origins=places)
    plain = fit_stage("detectors", Z, broken, Y, GROUPS, FUSION, ~FUSION)
    assert fair.calibrator.fusion.weights[1] > plain.calibrator.fusion.weights[1]
