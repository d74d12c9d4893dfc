from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, matthews_corrcoef

from streetvision_core.errors import DataError
from streetvision_core.scoring.sn34 import SN34Rule, combine


def by_the_book(p: np.ndarray, y: np.ndarray) -> float:
    """The formula of gasbench's scoring page, with scikit-learn's parts."""
    m = matthews_corrcoef(y, p > 0.5)
    b = brier_score_loss(y, np.clip(p, 1e-7, 1 - 1e-7), labels=[0, 1])
    return math.sqrt(max(1e-12, max(0, min((m + 1) / 2, 1)) ** 1.2 * max(0, (0.25 - b) / 0.25) ** 1.8))


@pytest.mark.parametrize("seed", range(6))
def test_score__equals_the_published_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 100)
    p = np.clip(0.5 + (y - 0.5) * 0.6 + rng.normal(0, 0.3, 100), 0, 1)
    assert SN34Rule().score(p, y) == pytest.approx(by_the_book(p, y))


def test_combine__perfect_guess_and_wrong() -> None:
    assert float(combine(1, 0)) == 1
    assert float(combine(0, 0.25)) == pytest.approx(1e-6)
    assert float(combine(-1, 1)) == pytest.approx(1e-6)


def test_score__pays_for_calibration_where_sn72_does_not() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 4000)
    right = rng.random(4000) < 0.8
    side = np.where(right, y, 1 - y)
    honest, boastful = np.where(side == 1, 0.8, 0.2), np.where(side == 1, 0.999, 0.001)
    assert SN34Rule().score(honest, y) > SN34Rule().score(boastful, y) + 0.1


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_score__lies_between_floor_and_one(rows: list[tuple[float, int]]) -> None:
    score = SN34Rule().score([p for p, _ in rows], [y for _, y in rows])
    assert 1e-6 - 1e-12 <= score <= 1


def test_score_many_and_expected() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, (5, 80))
    p = np.clip(y * 0.5 + rng.uniform(0, 0.5, (5, 80)), 0, 1)
    rule = SN34Rule()
    np.testing.assert_allclose(rule.score_many(p, y), [rule.score(a, b) for a, b in zip(p, y, strict=True)])
    assert rule.expected(p[0], y[0], streams=50) == pytest.approx(rule.score(p[0], y[0]), abs=0.05)


def test_score__refuses_what_is_no_probability() -> None:
    with pytest.raises(DataError, match="outside"):
        SN34Rule().score([-1.0], [1])
