import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.training.folds import group_folds


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), max_size=60), st.integers(2, 6), st.integers(0, 5))
def test_group_folds__never_splits_a_group(rows, k, seed):
    groups, strata = [f"g{g}" for g, _ in rows], [s for _, s in rows]
    folds = group_folds(groups, strata, k, seed)
    assert len(folds) == len(rows) and all(0 <= f < k for f in folds)
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))


def test_group_folds__spreads_strata():
    strata = [1] * 10 + [0] * 90
    folds = group_folds([str(i) for i in range(100)], strata, 5, seed=1)
    assert np.bincount(folds[:10]).tolist() == [2] * 5
    assert np.bincount(folds).tolist() == [20] * 5


def test_group_folds__seed_changes_and_repeats():
    groups = [str(i) for i in range(40)]
    a, b, c = (group_folds(groups, [0] * 40, 4, seed) for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_group_folds__refuses_one_fold():
    with pytest.raises(ValueError, match="at least 2"):
        group_folds(["a"], [0], 1, 0)
