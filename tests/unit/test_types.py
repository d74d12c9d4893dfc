import numpy as np
import pytest

from streetvision_core.types import Box, Clip, Evidence, Frame, Verdict


def evidence():
    return Evidence(
        "detectors", {"agree.count": 1.0}, {"yolo12n": (Box(1, 2, 3, 4, "cone", 0.5),)}, ("ROAD WORK",), 0.25
    )


def test_frame__refuses_other_shapes():
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]"):
        Frame(np.zeros((4, 4), np.uint8), "x", "y")


def test_frame_from_pixels__digest_covers_shape():
    a = Frame.from_pixels(np.zeros((2, 6, 3), np.uint8), "a")
    b = Frame.from_pixels(np.zeros((6, 2, 3), np.uint8), "b")
    assert a.sha256 != b.sha256
    assert (a.height, a.width) == (2, 6)


def test_clip__time_does_not_run_backwards():
    frame = Frame.from_pixels(np.zeros((2, 2, 3), np.uint8), "a")
    with pytest.raises(ValueError, match="decrease"):
        Clip((frame, frame), (1.0, 0.5), "clip")


def test_evidence__survives_a_round_trip():
    assert Evidence.from_dict(evidence().to_dict()) == evidence()


def test_verdict__survives_a_round_trip():
    verdict = Verdict(0.75, "detectors", True, (evidence(),), "v1", "certified", 0.5)
    assert Verdict.from_dict(verdict.to_dict()) == verdict
    assert verdict.roadwork


@pytest.mark.parametrize("p", [0.5, float("nan"), -1.0, 1.5])
def test_verdict__unpaid_answers_cannot_be_made(p):
    with pytest.raises(ValueError, match="p_roadwork"):
        Verdict(p, "classifier", True, (), "v1", "certified", 0.0)
