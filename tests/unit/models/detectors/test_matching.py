import numpy as np
import pytest

from streetvision_core.models.detectors import iou_matrix, match_boxes
from streetvision_core.types import Box

CONE = Box(0, 0, 10, 20, "cone", 0.9)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([], [], []),
        ([CONE], [], []),
        ([CONE], [Box(0, 0, 10, 20, "drum")], []),
        ([CONE], [Box(0, 0, 10, 7, "cone")], [(0, 0)]),
        ([CONE], [Box(0, 0, 10, 5, "cone")], []),
        ([CONE, CONE], [CONE], [(0, 0)]),
        ([CONE, Box(1, 0, 11, 20, "cone")], [Box(1, 0, 11, 20, "cone"), CONE], [(0, 1), (1, 0)]),
    ],
)
def test_match_boxes__pairs(a, b, expected):
    assert sorted(match_boxes(a, b, 0.3)) == expected


def test_match_boxes__any_class():
    assert match_boxes([CONE], [Box(0, 0, 10, 20, "drum")], same_class=False) == [(0, 0)]


def test_match_boxes__best_pair_first():
    near, exact = Box(0, 0, 10, 15, "cone"), Box(0, 0, 10, 20, "cone")
    assert match_boxes([CONE], [near, exact]) == [(0, 1)]


def test_iou_matrix__symmetric_and_one_on_itself():
    rng = np.random.default_rng(0)
    low = rng.random((20, 2)) * 10
    boxes = np.concatenate([low, low + 0.1 + rng.random((20, 2)) * 10], axis=1).astype(np.float32)
    overlaps = iou_matrix(boxes, boxes)
    assert np.allclose(overlaps, overlaps.T, atol=1e-6)
    assert np.allclose(np.diag(overlaps), 1, atol=1e-5)
    assert overlaps.min() >= 0


def test_iou_matrix__empty():
    assert iou_matrix(np.zeros((0, 4), np.float32), np.zeros((3, 4), np.float32)).shape == (0, 3)
