import numpy as np
import pytest

from streetvision_core.errors import ModelError
from streetvision_core.models.evidence import (
    EVIDENCE_NAMES,
    agreements,
    classifier_evidence,
    detector_evidence,
    keep_evidence,
    ocr_evidence,
    seats,
    vector,
)
from streetvision_core.types import Box, Evidence

CONE = Box(10, 10, 20, 30, "cone", 0.9)


def test_evidence_names__fixed_order() -> None:
    assert len(EVIDENCE_NAMES) == len(set(EVIDENCE_NAMES)) == 30
    assert EVIDENCE_NAMES[:3] == ("dense-lite2.cone.max", "dense-lite2.cone.count", "dense-lite2.drum.max")
    assert EVIDENCE_NAMES[24:] == (
        "agree.count", "agree.max", "ocr.keywords", "ocr.negated", "vlm.yes", "vlm.mass",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (CONE, [0.9]),
        (Box(10, 10, 20, 30, "cone", 0.5), [0.5]),
        (Box(10, 10, 20, 30, "drum", 0.9), []),
        (Box(100, 10, 120, 30, "cone", 0.9), []),
        (Box(10, 10, 20, 16, "cone", 0.9), [0.9]),
        (Box(10, 10, 20, 15.9, "cone", 0.9), []),
    ],
)
def test_agreements__class_and_overlap(other: Box, expected: list[float]) -> None:
    assert agreements([CONE], [other]) == expected


def test_agreements__each_box_once() -> None:
    assert agreements([CONE, CONE], [CONE]) == [0.9]


def test_detector_evidence__both_detectors() -> None:
    far = Box(200, 10, 210, 30, "cone", 0.3)
    evidence = detector_evidence({"dense-lite2": [CONE, far], "yolo12n": [CONE]}, 480, 270, 0.1)
    assert evidence.scores["dense-lite2.cone.max"] == 0.9
    assert evidence.scores["dense-lite2.cone.count"] == 1  # the far one is below the counting score
    assert evidence.scores["agree.count"] == 1
    assert Evidence.from_dict(evidence.to_dict()).boxes["yolo12n"] == (CONE,)


def test_detector_evidence__one_detector_leaves_agreement_unknown() -> None:
    row = vector([detector_evidence({"yolo12n": []}, 480, 270, 0.1)])
    known = {name for name, value in zip(EVIDENCE_NAMES, row, strict=True) if not np.isnan(value)}
    assert known == {name for name in EVIDENCE_NAMES if name.startswith("yolo12n")}


def test_detector_evidence__other_detectors_take_the_seats_in_the_profiles_order() -> None:
    evidence = detector_evidence({"rfdetr-medium": [CONE], "yolo12x": []}, 480, 270, 0.1)
    assert evidence.scores["dense-lite2.cone.max"] == 0.9
    assert evidence.scores["yolo12n.cone.max"] == evidence.scores["agree.count"] == 0
    assert set(evidence.boxes) == {"rfdetr-medium", "yolo12x"}
    assert seats(["rfdetr-small", "dense-lite2"]) == {"rfdetr-small": "yolo12n", "dense-lite2": "dense-lite2"}
    with pytest.raises(ModelError, match="at most 2"):
        detector_evidence({"a": [], "b": [], "c": []}, 480, 270, 0.1)


def test_detector_evidence__boxes_are_cut_to_the_frame() -> None:
    boxes = [Box(-5, -5, 5, 5, "cone"), Box(500, 0, 520, 10, "cone")]
    evidence = detector_evidence({"yolo12n": boxes}, 480, 270, 0.1)
    assert evidence.boxes["yolo12n"] == (Box(0, 0, 5, 5, "cone"),)


def test_vector__stages_that_ran() -> None:
    assert np.isnan(vector([classifier_evidence(1.5, 0.01)])).all()
    row = vector([classifier_evidence(1.5, 0.01), ocr_evidence(["ROAD WORK AHEAD", "END DETOUR"], 0.4)])
    assert row[26:28].tolist() == [1, 1]
    assert row.dtype == np.float32
    assert np.isnan(np.delete(row, [26, 27])).all()


PAIR = ("dense-lite2@1", "yolo12n@1")


@pytest.mark.parametrize(
    ("wanted", "blocks"),
    [
        (PAIR, {"dense-lite2", "yolo12n", "agree", "ocr", "vlm"}),
        (PAIR[:1], {"dense-lite2", "vlm"}),
        (PAIR[1:], {"yolo12n", "vlm"}),
        (("dense-lite2@2", "yolo12n@1"), {"yolo12n", "vlm"}),
        (("rfdetr-medium@1", "yolo12x@1"), {"vlm"}),
        ((), {"vlm"}),
    ],
)
def test_keep_evidence__only_what_the_same_detectors_said(wanted: tuple[str, ...], blocks: set[str]) -> None:
    rows = np.ones((2, len(EVIDENCE_NAMES)), np.float32)
    kept = keep_evidence(rows, PAIR, wanted)
    assert {name.split(".")[0] for name, value in zip(EVIDENCE_NAMES, kept[1], strict=True) if value == 1} == blocks
    assert np.isfinite(rows).all(), "the stored rows stay as they are"


def test_keep_evidence__rows_of_fewer_columns() -> None:
    assert keep_evidence(np.ones((1, 12), np.float32), PAIR, PAIR[1:]).shape == (1, 12)
