import numpy as np
import pytest

from streetvision_core.training.detectors._measure import Truth, best_scores, image_auc, measure_boxes, roc_auc
from streetvision_core.types import Box

CONE = Box(0, 0, 10, 20, "cone")


def seen(score, *, shift=0.0, label="cone"):
    return Box(0 + shift, 0, 10 + shift, 20, label, score)


@pytest.mark.parametrize(
    ("answers", "found", "right", "ap"),
    [
        ([], 0, 0, 0.0),
        ([seen(0.9)], 1, 1, 1.0),
        ([seen(0.9, shift=50)], 1, 0, 0.0),
        ([seen(0.9), seen(0.8)], 2, 1, 1.0),
        ([seen(0.9, shift=50), seen(0.8)], 2, 1, 0.5),
        ([seen(0.2)], 0, 0, 1.0),
        ([seen(0.1), seen(0.9, shift=2)], 1, 1, 1.0),
        ([seen(0.9, label="drum")], 0, 0, 0.0),
    ],
)
def test_measure_boxes__one_cone(answers, found, right, ap):
    cone = measure_boxes([answers], [Truth((CONE,))], 0.5)["cone"]
    assert (cone.labelled, cone.found, cone.right) == (1, found, right)
    assert cone.average_precision == pytest.approx(ap)


def test_measure_boxes__ignored_region_counts_neither_way():
    truth = Truth((CONE,), np.float32([[40, 0, 70, 30]]))
    cone = measure_boxes([[seen(0.9), seen(0.8, shift=50)]], [truth], 0.5)["cone"]
    assert cone.to_dict()["precision"] == 1.0


def test_measure_boxes__unlabelled_class_is_not_judged():
    drums = measure_boxes([[seen(0.9, label="drum")]], [Truth((CONE,), classes=("cone",))], 0.5)
    assert drums["any"].found == 0


def test_measure_boxes__any_class():
    result = measure_boxes([[seen(0.9, label="drum")]], [Truth((CONE,))], 0.5, any_class=True)
    assert result["any"].right == 1


def test_measure_boxes__any_class_counts_a_place_once():
    both = [seen(0.9, label="drum"), seen(0.8)]
    assert measure_boxes([both], [Truth((CONE,))], 0.5, any_class=True)["any"].to_dict()["precision"] == 1.0


def test_roc_auc__equals_counting():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 30) / 5, rng.integers(0, 4, 20) / 5
    pairs = [(x > y) + 0.5 * (x == y) for x in a for y in b]
    assert roc_auc(a, b) == pytest.approx(np.mean(pairs))


def test_image_auc__by_origin():
    scores = {"pos": [best_scores([seen(0.9)])], "neg": [best_scores([])], "hard": [best_scores([seen(0.95)])]}
    assert {k: v["any"] for k, v in image_auc(scores, "pos").items()} == {"neg": 1.0, "hard": 0.0}
