import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import DataError
from streetvision_core.mining import seeds


def overlap(a: range, b: range) -> bool:
    return max(a.start, b.start) < min(a.stop, b.stop)


def test_ranges__are_disjoint_and_fit_31_bits() -> None:
    assert not any(overlap(a, b) for a, b in itertools.combinations(seeds.RANGES.values(), 2))
    assert min(r.start for r in seeds.RANGES.values()) == 0
    assert max(r.stop for r in seeds.RANGES.values()) == 2**31


@given(st.integers(0, 10**6), st.integers(0, seeds.DAYS_PER_PROJECT - 1), st.integers(0, seeds.DAYS_PER_PROJECT - 1))
def test_block__days_of_one_project_are_disjoint(seed: int, a: int, b: int) -> None:
    for kind in (seeds.STREAM, seeds.SYNTHETIC):
        one, other = (seeds.block(kind, seed=seed, day_index=day) for day in (a, b))
        assert overlap(one, other) == (a == b)
        assert kind.start <= one.start < one.stop <= kind.stop


@given(st.integers(0, 10**6))
def test_block__stays_in_its_range(seed: int) -> None:
    held = seeds.block(seeds.HELDOUT, seed=seed)
    assert {seeds.owner(held[0]), seeds.owner(held[-1])} == {"heldout"}
    assert {seeds.owner(seeds.block(seeds.STREAM, seed=seed)[k]) for k in (0, -1)} == {"stream"}
    assert {seeds.owner(seeds.block(seeds.SYNTHETIC, seed=seed)[k]) for k in (0, -1)} == {"synthetic"}


@pytest.mark.parametrize(
    ("kind", "seed", "day"), [(seeds.STREAM, 0, 3653), (seeds.HELDOUT, 0, 1), (seeds.STREAM, -1, 0)]
)
def test_block__refuses(kind: range, seed: int, day: int) -> None:
    with pytest.raises(DataError, match="count days from the first day"):
        seeds.block(kind, seed=seed, day_index=day)


def test_take__refuses_more_than_there_is() -> None:
    block = seeds.block(seeds.STREAM, seed=0)
    assert list(seeds.take(block, 2)) == [block.start, block.start + 1]
    with pytest.raises(DataError, match="0 to 4096"):
        seeds.take(block, 4097)
    assert seeds.owner(2**31) is None
