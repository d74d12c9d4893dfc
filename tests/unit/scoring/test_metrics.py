from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from streetvision_core.errors import DataError
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.metrics import (
    auc,
    augrc,
    binary_metrics,
    brier,
    expected_calibration_error,
    mcc,
)


def draw(seed: int, n: int = 300, decimals: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(2.0 * y - 1 + rng.normal(0, 1.5, n))))
    return (p if decimals is None else np.round(p, decimals)), y


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [None, 1])
def test_binary_metrics__equal_scikit_learn(seed: int, decimals: int | None) -> None:
    p, y = draw(seed, decimals=decimals)
    d = p > 0.5
    ours = binary_metrics(p, y)
    assert ours.n == 300
    assert ours.accuracy == pytest.approx(theirs.accuracy_score(y, d))
    assert ours.f1 == pytest.approx(theirs.f1_score(y, d))
    assert ours.mcc == pytest.approx(theirs.matthews_corrcoef(y, d))
    assert ours.auc == pytest.approx(theirs.roc_auc_score(y, p))
    assert ours.brier == pytest.approx(theirs.brier_score_loss(y, p))
    assert ours.recall == pytest.approx(theirs.recall_score(y, d))
    assert ours.false_alarm_rate == pytest.approx(1 - theirs.recall_score(1 - y, ~d))
    assert (mcc(p, y), auc(p, y), brier(p, y)) == (ours.mcc, ours.auc, ours.brier)


def test_binary_metrics__half_is_no_roadwork() -> None:
    assert binary_metrics([0.5, 0.5], [0, 1]).recall == 0


def test_binary_metrics__one_class_is_nan_and_json_ready() -> None:
    only = binary_metrics([0.2, 0.9], [0, 0])
    assert math.isnan(only.auc)
    assert math.isnan(only.recall)
    assert only.mcc == 0
    assert only.to_dict()["auc"] is None
    json.dumps(only.to_dict(), allow_nan=False)


def test_binary_metrics__perfect() -> None:
    best = binary_metrics([1.0, 0.0, 1.0], [1, 0, 1])
    assert (best.accuracy, best.f1, best.mcc, best.auc, best.brier, best.ece, best.augrc) == (1, 1, 1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("p", "y", "text"),
    [
        ([], [], "N >= 1"),
        ([0.5, 0.2], [1], "the same shape"),
        ([1.2, 0.2], [1, 0], r"1 probabilities outside \[0, 1\]"),
        ([float("nan"), 0.2], [1, 0], "or NaN"),
        ([-1.0, 0.2], [1, 0], "SN72"),
        ([0.3, 0.2], [1, -1], "ambiguous"),
        ([[0.3], [0.2]], [[1], [0]], "one row per frame"),
    ],
)
def test_binary_metrics__refuses(p: object, y: object, text: str) -> None:
    with pytest.raises(DataError, match=text):
        binary_metrics(p, y)  # type: ignore[arg-type]


# AUGRC against its definition


def augrc_by_curve(p: np.ndarray, y: np.ndarray) -> float:
    """Area under (coverage, share of all rows that are accepted and wrong), over all distinct thresholds."""
    confidence, wrong = np.abs(p - 0.5), (p > 0.5) != y
    coverage, risk = [0.0], [0.0]
    for threshold in sorted(set(confidence), reverse=True):
        accepted = confidence >= threshold
        coverage.append(float(accepted.mean()))
        risk.append(float((accepted & wrong).mean()))
    return float(np.trapezoid(risk, coverage))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=40),
)
def test_augrc__equals_the_area_under_the_curve(rows: list[tuple[int, int]]) -> None:
    p, y = np.array([a / 20 for a, _ in rows]), np.array([b for _, b in rows])
    assert augrc(p, y) == pytest.approx(augrc_by_curve(p, y), abs=1e-12)


def test_augrc__all_wrong_is_a_half_and_chance_ranking_half_the_error() -> None:
    assert augrc([0.9, 0.1], [0, 1]) == 0.5
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 20_000)
    right = rng.random(20_000) < 0.8
    p = np.where(right == (y == 1), 0.5 + 0.5 * rng.random(20_000), 0.5 - 0.5 * rng.random(20_000))
    assert augrc(p, y) == pytest.approx(0.2 / 2, abs=0.005)


# Calibration error


def test_ece__calibrated_is_small_and_shifted_is_the_shift() -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(0.2, 0.7, 60_000)
    y = (rng.random(60_000) < q).astype(int)
    assert expected_calibration_error(q, y) < 0.01
    assert expected_calibration_error(q + 0.2, y) == pytest.approx(0.2, abs=0.01)


def test_ece__by_hand() -> None:
    # two bins: (0.1, 0.2 | one positive) and (0.8, 0.9 | both positive)
    p, y = [0.1, 0.2, 0.8, 0.9], [0, 1, 1, 1]
    assert expected_calibration_error(p, y, bins=2) == pytest.approx((abs(0.3 - 1) + abs(1.7 - 2)) / 4)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), decimals=st.sampled_from([1, 2, None]))
def test_ece__does_not_depend_on_row_order(seed: int, decimals: int | None) -> None:
    p, y = draw(seed, 60, decimals)
    order = np.random.default_rng(seed).permutation(60)
    assert expected_calibration_error(p, y) == pytest.approx(expected_calibration_error(p[order], y[order]))
    assert 0 <= expected_calibration_error(p, y) <= 1


# Confusion


def test_confusion__counts_many_sets_at_once() -> None:
    rng = np.random.default_rng(0)
    d, y = rng.random((7, 50)) > 0.4, rng.random((7, 50)) > 0.6
    many = Confusion.count(d, y)
    for i in range(7):
        one = Confusion.count(d[i], y[i])
        tn, fp, fn, tp = theirs.confusion_matrix(y[i], d[i]).ravel()
        assert (one.tp, one.fp, one.fn, one.tn) == (tp, fp, fn, tn)
        assert many.mcc()[i] == one.mcc()
        assert many.f1()[i] == pytest.approx(theirs.f1_score(y[i], d[i]))


def test_confusion__from_rates() -> None:
    table = Confusion.from_rates(0.9, 0.8, 0.5)
    assert float(table.total) == pytest.approx(1)
    assert float(table.accuracy()) == pytest.approx(0.85)
    assert float(table.recall()) == pytest.approx(0.9)
    assert float(table.false_alarm_rate()) == pytest.approx(0.2)


def test_confusion__mcc_survives_large_counts() -> None:
    table = Confusion(*(np.float64(v) for v in (4e9, 1e9, 1e9, 4e9)))
    assert float(table.mcc()) == pytest.approx(0.6)
