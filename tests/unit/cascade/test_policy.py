import numpy as np
import pytest

from streetvision_core.cascade.policy import PLAN_OCR, EveryStagePolicy, box_count, get_policy
from streetvision_core.errors import SettingsError
from streetvision_core.models.evidence import DETECTOR_NAMES, EVIDENCE_NAMES


def evidence_row(counts=(np.nan, np.nan), keywords=np.nan):
    """Evidence with so many cones per detector and so many keywords."""
    row = np.full(len(EVIDENCE_NAMES), np.nan)
    for name, count in zip(DETECTOR_NAMES, counts, strict=True):
        if np.isfinite(count):
            row[[i for i, n in enumerate(EVIDENCE_NAMES) if n.startswith(f"{name}.")]] = 0
            row[EVIDENCE_NAMES.index(f"{name}.cone.count")] = count
    row[EVIDENCE_NAMES.index("ocr.keywords")] = keywords
    return row


def logit(p):
    return np.log(p / (1 - p))


@pytest.mark.parametrize(
    ("p", "exits"), [(0.881, True), (0.879, False), (0.5, False), (0.121, False), (0.119, True), (0.999, True)]
)
def test_plan__classifier_thresholds(toy, p, exits):
    ruling = get_policy("plan").rule("classifier", np.array([logit(p)]), evidence_row()[None], toy[3])
    assert ruling.exits[0] == exits and not ruling.certified[0]
    assert ruling.p[0] == pytest.approx(p, abs=2e-4) and ruling.p[0] != 0.5


@pytest.mark.parametrize(
    ("counts", "exits", "roadwork"),
    [
        ((0, 0), True, False),
        ((3, 3), True, True),
        ((9, 3), True, True),
        ((3, 2), False, None),
        ((0, 1), False, None),
        ((0, 9), False, None),
        ((np.nan, 0), False, None),
        ((np.nan, 5), False, None),
    ],
)
def test_plan__detectors_agree_or_go_on(toy, counts, exits, roadwork):
    ruling = get_policy("plan").rule("detectors", np.array([logit(0.7)]), evidence_row(counts)[None], toy[3])
    assert ruling.exits[0] == exits
    assert ruling.p[0] == pytest.approx(0.7, abs=1e-3) if roadwork is None else (ruling.p[0] > 0.5) == roadwork


@pytest.mark.parametrize(("keywords", "p"), [(0, 0.40), (1, 0.70), (2, 0.85), (5, 0.85)])
def test_plan__keywords(toy, keywords, p):
    ruling = get_policy("plan").rule("ocr", np.zeros(1), evidence_row((1, 1), keywords)[None], toy[3])
    assert ruling.exits[0] and ruling.p[0] == pytest.approx(p) and p in PLAN_OCR


def test_certified__exits_answer_with_their_side(toy):
    """A row in the low band is a `none` even where the paid threshold would say otherwise, and the other way round."""
    import dataclasses

    calibration = toy[3]
    logits = np.linspace(-12, 12, 200)
    nothing = np.full((200, len(EVIDENCE_NAMES)), np.nan)
    for threshold in (0.02, 0.5, 0.98):
        odd = dataclasses.replace(calibration, threshold=threshold)
        ruling = get_policy("certified").rule("classifier", logits, nothing, odd)
        assert (ruling.exits == ruling.certified).all() and ruling.exits.any()
        assert (ruling.p[ruling.exits & (logits < 0)] < 0.5).all()
        assert (ruling.p[ruling.exits & (logits > 0)] > 0.5).all()


def test_certified__wants_only_what_is_calibrated(toy):
    policy, calibration = get_policy("certified"), toy[3]
    assert policy.wants("classifier", calibration) and not policy.wants("vlm", calibration)
    assert get_policy("plan").wants("ocr", calibration)


def test_every_stage__never_ends_early(toy):
    ruling = EveryStagePolicy().rule("classifier", np.array([-30.0, 30.0]), np.stack([evidence_row()] * 2), toy[3])
    assert not ruling.exits.any() and ruling.p[0] < 0.5 < ruling.p[1]


def test_get_policy__unknown():
    with pytest.raises(SettingsError, match="certified, plan"):
        get_policy("every-stage")


def test_box_count__sums_classes():
    row = evidence_row((2, 0))
    row[EVIDENCE_NAMES.index(f"{DETECTOR_NAMES[0]}.drum.count")] = 3
    assert box_count(row[None], DETECTOR_NAMES[0])[0] == 5
    assert np.isnan(box_count(evidence_row()[None], DETECTOR_NAMES[0])[0])
