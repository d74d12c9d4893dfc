import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streetvision_core.models.detectors._nms import MAX_BOXES, nms, select_boxes
from streetvision_core.types import DEVICE_CLASSES


def slow_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(0.0, width) * max(0.0, height)
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / area if area > 0 else 0.0


def slow_nms(corners, scores, classes, iou):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if all(classes[i] != classes[j] or slow_iou(corners[i], corners[j]) <= iou for j in kept):
            kept.append(i)
    return kept


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_nms__equals_brute_force(count, seed, iou):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 30, (count, 2)).astype(np.float32)
    corners = np.concatenate([low, low + rng.integers(1, 20, (count, 2))], axis=1).astype(np.float32)
    scores = rng.integers(1, 12, count).astype(np.float32) / 12
    classes = rng.integers(0, 3, count)
    assert nms(corners, scores, classes, iou).tolist() == slow_nms(corners, scores, classes, iou)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.float32, (60, 4), elements=st.floats(-50, 150, width=32)), st.integers(0, 1000))
def test_select_boxes__inside_the_frame_and_in_order(corners, seed):
    scores = np.random.default_rng(seed).random((60, len(DEVICE_CLASSES))).astype(np.float32)
    boxes = select_boxes(corners, scores, 100, 80)
    assert len(boxes) <= MAX_BOXES
    assert all(0 <= b.x0 < b.x1 <= 100 and 0 <= b.y0 < b.y1 <= 80 and b.score >= 0.05 for b in boxes)
    assert [b.score for b in boxes] == sorted((b.score for b in boxes), reverse=True)


@pytest.mark.parametrize("count", [0, 1])
def test_select_boxes__few_candidates(count):
    corners = np.full((count, 4), (1, 2, 11, 22), np.float32)
    scores = np.zeros((count, len(DEVICE_CLASSES)), np.float32)
    scores[:, 1] = 0.7
    boxes = select_boxes(corners, scores, 64, 64)
    assert [(b.label, round(b.score, 3)) for b in boxes] == [("drum", 0.7)] * count


def test_select_boxes__one_place_two_classes():
    corners = np.float32([[0, 0, 10, 20], [0, 0, 10, 20]])
    scores = np.zeros((2, len(DEVICE_CLASSES)), np.float32)
    scores[0, 0], scores[1, 1] = 0.9, 0.8
    assert [b.label for b in select_boxes(corners, scores, 50, 50)] == ["cone", "drum"]
