from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.data.splits import assign_splits, check_no_leak, join_near_duplicates
from streetvision_core.errors import DataError, LeakError
from streetvision_core.types import Split

ROWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=80)


@given(rows=ROWS, seed=st.integers(0, 5), data=st.data())
def test_assign_splits__groups_stay_whole_in_any_order(
    rows: list[tuple[int, int]], seed: int, data: st.DataObject
) -> None:
    groups, strata = [f"g{g}" for g, _ in rows], [f"s{s}" for _, s in rows]
    splits = assign_splits(groups, strata, seed=seed)
    check_no_leak(groups, splits)
    order = data.draw(st.permutations(range(len(rows))))
    shuffled = assign_splits([groups[i] for i in order], [strata[i] for i in order], seed=seed)
    assert shuffled == [splits[i] for i in order]


def test_assign_splits__every_stratum_close_to_the_fractions() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{i}" for i in rng.integers(0, 300, 1000)]
    strata = [f"s{sum(map(ord, g)) % 3}" for g in groups]
    splits = assign_splits(groups, strata)
    for stratum in ("s0", "s1", "s2"):
        count = Counter(s for s, name in zip(splits, strata, strict=True) if name == stratum)
        shares = [count[split] / count.total() for split in Split]
        np.testing.assert_allclose(shares, (0.5, 0.1, 0.2, 0.2), atol=0.02)


def test_assign_splits__seed_matters() -> None:
    groups = [str(i) for i in range(100)]
    assert assign_splits(groups, ["s"] * 100, seed=0) != assign_splits(groups, ["s"] * 100, seed=1)


def test_assign_splits__fraction_of_zero_stays_empty() -> None:
    splits = assign_splits([str(i) for i in range(50)], ["s"] * 50, fractions=(0.8, 0, 0, 0.2))
    assert Counter(splits) == {Split.TRAIN: 40, Split.TEST: 10}


def test_assign_splits__pinned_groups_and_the_rest_makes_up_for_them() -> None:
    groups = [str(i) for i in range(100)]
    pinned = {str(i): Split.TRAIN for i in range(40)} | {"elsewhere": Split.TEST}
    splits = assign_splits(groups, ["s"] * 100, pinned=pinned)
    assert set(splits[:40]) == {Split.TRAIN}
    assert [Counter(splits)[split] for split in Split] == [50, 10, 20, 20]


@pytest.mark.parametrize(
    ("strata", "fractions"), [(["a"], (0.5, 0.1, 0.2, 0.2)), (["a", "b"], (1, 1, 0, 0)), (["a", "b"], (0.5, 0.5))]
)
def test_assign_splits__wrong_call(strata: list[str], fractions: tuple[float, ...]) -> None:
    with pytest.raises(DataError):
        assign_splits(["g", "h"], strata, fractions)


def test_join_near_duplicates__chains_are_joined() -> None:
    angles = np.radians([0, 4, 8, 90, 94])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [5], [2], [1], [3]]
    joined = join_near_duplicates(["c", "b", "a", "x", "y"], features, threshold=float(np.cos(np.radians(5))))
    assert joined == ["a", "a", "a", "x", "x"]


def test_join_near_duplicates__nothing_near() -> None:
    assert join_near_duplicates(["a", "b", "a"], np.eye(3), 0.9) == ["a", "b", "a"]
    assert join_near_duplicates(["a", "b"], np.zeros((2, 3)), 0.9) == ["a", "b"]


def test_join_near_duplicates__over_several_blocks() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2500, 64))
    features[2400] = features[3] * 2
    groups = [f"g{i:04d}" for i in range(2500)]
    joined = join_near_duplicates(groups, features, 0.98)
    assert joined[2400] == "g0003"
    assert len(set(joined)) == 2499


def test_check_no_leak__torn_group() -> None:
    with pytest.raises(LeakError, match=r"1 groups in several splits, e\.g\. a"):
        check_no_leak(["a", "a"], [Split.TRAIN, Split.TEST])


def test_check_no_leak__near_duplicates_in_two_splits() -> None:
    features = np.array([[1.0, 0.0], [1.0, 0.01]])
    check_no_leak(["a", "b"], [Split.TRAIN, Split.TRAIN], features)
    with pytest.raises(LeakError, match="join_near_duplicates") as caught:
        check_no_leak(["a", "b"], [Split.TRAIN, Split.TEST], features)
    assert caught.value.data["rows"] == (0, 1)
