import numpy as np
import pytest
from sklearn.metrics import log_loss as sk_log_loss
from sklearn.metrics import matthews_corrcoef

from streetvision_core.training.selection import (
    choose,
    confusion,
    log_loss,
    mcc_standard_error,
    scaled_log_loss,
    weighted_mcc,
)
from streetvision_core.training.spec import Candidate, CandidateSpec

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 80).astype(np.int8)
LOGITS = RNG.normal(size=(80, 3)) + Y[:, None] * np.array([0.0, 1.0, 3.0])
ONES = np.ones(80)


def candidate(mcc, loss, parameters):
    return Candidate(CandidateSpec("linear"), parameters, mcc, loss, 0.5, 0.5)


def test_weighted_mcc__equals_scikit_learn():
    mcc = weighted_mcc(confusion(LOGITS, Y, ONES).sum(axis=0))
    assert mcc == pytest.approx([matthews_corrcoef(Y, LOGITS[:, k] > 0) for k in range(3)])


def test_weighted_mcc__one_class_is_zero():
    assert weighted_mcc(np.array([3.0, 0.0, 0.0, 0.0])) == 0.0


def test_log_loss__equals_scikit_learn():
    expected = [sk_log_loss(Y, 1 / (1 + np.exp(-LOGITS[:, k]))) for k in range(3)]
    assert log_loss(LOGITS, Y, ONES) == pytest.approx(expected)


def test_scaled_log_loss__does_not_mind_the_scale():
    assert scaled_log_loss(LOGITS * 4, Y, ONES) == pytest.approx(scaled_log_loss(LOGITS, Y, ONES), rel=0.01)


def test_mcc_standard_error__shrinks_with_groups():
    cells = confusion(LOGITS[:, [1]], Y, ONES)[:, 0]
    few = mcc_standard_error(cells, [str(i // 20) for i in range(80)], 0)
    many = mcc_standard_error(np.tile(cells, (16, 1)), [str(i) for i in range(1280)], 0)
    assert 0 < many < few


@pytest.mark.parametrize(
    ("rows", "tie", "expected"),
    [
        ([(0.9, 0.5, 10), (0.8, 0.1, 10)], 0.0, 0),
        ([(0.9, 0.5, 10), (0.8, 0.1, 10)], 0.15, 1),
        ([(0.9, 0.3000, 99), (0.9, 0.3005, 10)], 0.0, 1),
        ([(0.9, 0.30, 99), (0.9, 0.32, 10)], 0.0, 1),
        ([(0.9, 0.30, 10), (0.9, 0.32, 10)], 0.0, 0),
        ([(0.9, 0.3, 10), (0.9, 0.3, 10)], 0.0, 0),
    ],
)
def test_choose__mcc_then_simpler_then_log_loss(rows, tie, expected):
    assert choose([candidate(*row) for row in rows], tie) == expected
