"""Who measures is decided once, by name, and never changes."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.learning.measured import (
    choose_measured,
    load_measured,
    record_measured,
    split_of_group,
    split_of_photos,
)
from streetvision_core.types import Split

GROUPS = st.lists(st.text("abcdefgh", min_size=1, max_size=6), max_size=30, unique=True)
NAMES = [hashlib.sha256(str(i).encode()).hexdigest()[:8] for i in range(4000)]


@given(nights=st.lists(GROUPS, max_size=5), taught=st.sets(st.text("abcdefgh", max_size=3)), share=st.floats(0, 1))
def test_choose_measured__a_choice_stays_whatever_later_nights_draw_or_teach(nights, taught, share):
    known: dict[str, Split] = {}
    for night in nights:
        chosen = choose_measured(night, taught, known, share)
        assert known.items() <= chosen.items()
        assert set(chosen) - set(known) <= set(night) - taught
        assert set(chosen.values()) <= {Split.CALIBRATE, Split.TEST}
        taught = taught | set(night) | set(chosen)  # CALIBRATE rows are remembered as taught; they keep their split
        known = chosen


@given(drawn=GROUPS, seed=st.randoms())
def test_choose_measured__neither_order_nor_company_matters(drawn, seed):
    shuffled = drawn.copy()
    seed.shuffle(shuffled)
    whole = choose_measured(drawn, (), {}, 0.5)
    assert choose_measured(shuffled, (), {}, 0.5) == whole
    assert {g: s for g in drawn for s in choose_measured([g], (), {}, 0.5).values()} == whole


@given(drawn=GROUPS, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_choose_measured__a_larger_share_only_adds(drawn, shares):
    small, large = (choose_measured(drawn, (), {}, share) for share in sorted(shares))
    assert small.items() <= large.items()


def test_choose_measured__the_share_is_kept_and_halved():
    chosen = Counter(choose_measured(NAMES, (), {}, 0.3).values())
    assert sum(chosen.values()) == pytest.approx(1200, abs=100)
    assert chosen[Split.TEST] == pytest.approx(chosen[Split.CALIBRATE], abs=120)


def test_split_of_group__teaches_only():
    counts = Counter(split_of_group(name) for name in NAMES)
    assert set(counts) == {Split.TRAIN, Split.SELECT}
    assert counts[Split.SELECT] == pytest.approx(600, abs=80)


def test_split_of_photos__comes_close_to_the_fractions():
    counts = Counter(split_of_photos(name) for name in NAMES)
    assert [counts[split] / 4000 for split in Split] == pytest.approx([0.5, 0.1, 0.2, 0.2], abs=0.03)


def test_record_measured__comes_back(tmp_path):
    assert load_measured(tmp_path) == {}
    chosen = choose_measured(NAMES[:20], (), {}, 0.5)
    record_measured(tmp_path, chosen)
    assert load_measured(tmp_path) == chosen
