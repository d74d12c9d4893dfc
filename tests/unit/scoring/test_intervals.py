from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from streetvision_core.errors import DataError
from streetvision_core.scoring import intervals
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import (
    Interval,
    allowed_errors,
    bootstrap,
    bootstrap_decisions,
    clopper_pearson,
    clopper_pearson_upper,
)
from streetvision_core.scoring.metrics import auc, mcc


@pytest.mark.parametrize("n", [1, 10, 137])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_clopper_pearson__equals_scipy(n: int, confidence: float) -> None:
    for errors in {0, 1, n // 3, n}:
        expected = stats.binomtest(errors, n).proportion_ci(confidence, method="exact")
        assert clopper_pearson(errors, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("n", "errors"), [(299, 0), (500, 1), (1000, 4), (2000, 12)])
def test_allowed_errors__published_table_for_one_per_cent(n: int, errors: int) -> None:
    assert allowed_errors(n, 0.01) == errors
    assert clopper_pearson_upper(errors, n) <= 0.01 + 1e-12 < clopper_pearson_upper(errors + 1, n)


def test_allowed_errors__99_2_per_cent_needs_373_rows() -> None:
    assert (allowed_errors(372, 0.008), allowed_errors(373, 0.008)) == (-1, 0)


@pytest.mark.parametrize("arguments", [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0)])
def test_clopper_pearson__refuses(arguments: tuple[int, int, float]) -> None:
    with pytest.raises(DataError, match="0 <= errors <= n"):
        clopper_pearson(*arguments)


def test_clopper_pearson__covers_as_promised() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.02, 0.3):
        seen = rng.binomial(80, rate, 4000)
        bounds = {k: clopper_pearson(int(k), 80, 0.9) for k in np.unique(seen)}
        assert np.mean([bounds[k][0] <= rate <= bounds[k][1] for k in seen]) >= 0.9
        upper = {k: clopper_pearson_upper(int(k), 80, 0.9) for k in np.unique(seen)}
        assert np.mean([rate <= upper[k] for k in seen]) >= 0.9


def grouped(seed: int, n_groups: int = 40, per_group: int = 5) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Rows of a group share their fate: 5 times the rows, hardly more evidence."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n_groups), per_group)
    y = rng.integers(0, 2, n_groups)[group]
    shift = rng.normal(0, 1.2, n_groups)[group]
    p = 1 / (1 + np.exp(-(2.0 * y - 1 + shift + rng.normal(0, 0.2, len(y)))))
    return p, y, [f"drive-{g}" for g in group]


@pytest.mark.parametrize("name", ["mcc", "accuracy", "recall"])
def test_bootstrap_decisions__equals_the_generic_bootstrap(name: str) -> None:
    p, y, groups = grouped(1)

    def slow(q: np.ndarray, labels: np.ndarray) -> float:
        return float(getattr(Confusion.count(q > 0.5, labels > 0), name)())

    fast = bootstrap_decisions(getattr(Confusion, name), p, y, groups, n=200, seed=3)
    generic = bootstrap(slow, p, y, groups, n=200, seed=3)
    assert (fast.low, fast.point, fast.high) == pytest.approx((generic.low, generic.point, generic.high))


def test_bootstrap__is_seeded_and_brackets_the_point() -> None:
    p, y, groups = grouped(2)
    first = bootstrap(auc, p, y, groups, n=100, seed=5)
    assert first == bootstrap(auc, p, y, groups, n=100, seed=5)
    assert first != bootstrap(auc, p, y, groups, n=100, seed=6)
    assert first.low < first.point < first.high
    assert first.point == auc(p, y)
    assert set(first.to_dict()) == {"low", "point", "high"}
    assert "[" in str(first)


def test_bootstrap__groups_make_it_wider_than_rows() -> None:
    p, y, groups = grouped(3)
    by_group = bootstrap(mcc, p, y, groups, n=200)
    by_row = bootstrap(mcc, p, y, list(range(len(p))), n=200)
    assert by_group.high - by_group.low > 1.5 * (by_row.high - by_row.low)


def test_bootstrap_decisions__covers_about_as_promised() -> None:
    truth = float(np.mean([Confusion.count(p > 0.5, y > 0).accuracy() for p, y, _ in map(grouped, range(1000, 1400))]))
    hits = 0
    for seed in range(200):
        p, y, groups = grouped(seed)
        interval = bootstrap_decisions(Confusion.accuracy, p, y, groups, n=300, seed=seed, level=0.9)
        hits += interval.low <= truth <= interval.high
    assert 0.82 <= hits / 200 <= 0.97


def test_bootstrap__undefined_everywhere_is_nan() -> None:
    interval = bootstrap(auc, [0.1, 0.2], [0, 0], ["a", "b"], n=20)
    assert math.isnan(interval.low)
    assert math.isnan(interval.point)
    assert isinstance(interval, Interval)


def test_bootstrap__needs_a_group_per_row() -> None:
    with pytest.raises(DataError, match="one group per row"):
        bootstrap(mcc, [0.1, 0.9], [0, 1], ["a"], n=5)


def test_resample_groups__draws_as_many_groups_as_there_are() -> None:
    rows, drawn = intervals.resample_groups(["b", "a", "b"], 50, 0)
    assert rows.tolist() == [1, 0, 1]
    assert (drawn.sum(axis=1) == 2).all()
