"""What may be shown of a challenge set follows from its size; a warning only from what has been shown."""

import numpy as np
import pytest

from streetvision_core.data.challenge_set import ChallengeImage, ChallengeSet
from streetvision_core.learning import facing
from streetvision_core.scoring.adaptive import answer_bits, deviation, shown_bits

MODES = ("night", "fog", "rain", "glare")


def made(groups):
    images = [
        ChallengeImage(f"i{n}", n % 2, f"g{n}", ("street", "rendered")[n % 2], "native", (MODES[n % 4],), "x")
        for n in range(groups)
    ]
    return ChallengeSet(tuple(images))


@pytest.mark.parametrize("groups", [10, 40, 88, 300, 1000])
def test_affordable__the_whole_is_shown_and_what_is_shown_leaves_most_of_the_set(groups):
    chosen = made(groups)
    shown, withheld = facing.affordable(chosen.parts(), chosen, 0.25)
    assert next(iter(shown)) == "all"
    assert {*shown, *withheld} == set(chosen.parts())
    bits = sum(shown_bits(len(members)) for members in shown.values())
    if len(shown) > 1:
        assert deviation(3 * bits, groups) <= 0.25


def test_affordable__a_small_set_carries_no_breakdown_and_a_large_one_does():
    small, large = made(88), made(1000)
    assert facing.affordable(small.parts(), small, 0.25)[1] == tuple(name for name in small.parts() if name != "all")
    assert facing.affordable(large.parts(), large, 0.25)[1] == ()
    note = facing._size_note(("night", "fog"), 88, 0.25)
    assert note.startswith("Not shown: night, fog. A set of 88 groups carries 11 bits")
    assert facing._size_note((), 1000, 0.25) == ""


@pytest.mark.parametrize("groups", [10, 40, 88, 300, 1000])
def test_warning__comes_with_looks_and_never_on_the_first_day(groups):
    first = shown_bits(groups) + answer_bits(1, 0)
    assert facing._warning(first, groups, 0.25) == ""
    days = np.arange(1, 400)
    warned = [facing._warning(first + shown_bits(groups) * n + answer_bits(n, n), groups, 0.25) != "" for n in days]
    assert warned[-1], "a set that loses a breakdown every day must wear out"
    assert warned == sorted(warned)


def test_warning__a_year_of_no_is_no_reason_to_warn_on_88_groups():
    assert facing._warning(shown_bits(88) + 2 * answer_bits(365, 0), 88, 0.25) == ""
