import math

import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.scoring.adaptive import Ladder, answer_bits, budget_bits, deviation, rounded, shown_bits


def boosting_attack(rng, n, looks, told):
    """Freedman's paradox on coin-flip labels: keeps every random guess that looked better than chance, then votes.

    Returns the accuracy that the set shows for the vote; on fresh coins it is 0.5.
    """
    labels = rng.integers(0, 2, n)
    guesses = rng.integers(0, 2, (looks, n))
    kept = [guess for guess in guesses if told(float((guess == labels).mean()))]
    if not kept:
        return 0.5
    vote = np.mean(kept, axis=0) + 1e-9 * rng.standard_normal(n)
    return float(((vote > 0.5) == labels).mean())


def test_deviation__a_fresh_set_is_hoeffdings_bound_and_looks_only_widen_it():
    assert deviation(0, 1000) == pytest.approx(np.sqrt(np.log(2 / 0.05) / 2000))
    assert deviation(0, 500) < deviation(5, 500) < deviation(50, 500)
    assert deviation(1e6, 100) == 1.0
    assert deviation(0, 0) == 1.0


def test_deviation__bounds_what_an_adaptive_reader_of_full_figures_can_overfit():
    rng, n, looks = np.random.default_rng(0), 200, 60
    gaps = [boosting_attack(rng, n, looks, lambda shown: rounded(shown, n) > 0.5) - 0.5 for _ in range(100)]
    assert np.mean(gaps) > 2 * deviation(0, n) / 1.96 / 2, "the attack must work, or the test says nothing"
    assert np.mean(np.array(gaps) <= deviation(looks * shown_bits(n), n)) >= 0.95


def test_ladder__gives_the_same_attacker_almost_nothing():
    rng, n, gaps, bits = np.random.default_rng(1), 200, [], 0.0
    for _ in range(100):
        state = {"ladder": Ladder(0.05), "yes": 0}

        def told(shown, state=state):
            state["ladder"], better = state["ladder"].climb(shown)
            state["yes"] += better
            return better

        gaps.append(boosting_attack(rng, n, 60, told) - 0.5)
        bits = max(bits, answer_bits(60, state["yes"]))
    full = [boosting_attack(rng, n, 60, lambda shown: shown > 0.5) - 0.5 for _ in range(100)]
    assert np.mean(gaps) < np.mean(full)
    assert bits < 60 * shown_bits(n) / 2
    assert np.mean(np.array(gaps) <= deviation(bits, n)) >= 0.95


def test_answer_bits__a_code_whose_weights_sum_to_one_for_every_length():
    for asked in (1, 2, 7, 30):
        weights = [2.0 ** -answer_bits(asked, yes) * math.comb(asked, yes) for yes in range(asked + 1)]
        assert 0.5 <= sum(weights) <= 1.0
    assert answer_bits(0, 0) == 0.0
    assert answer_bits(1000, 0) == 1.0, "a question always denied tells nothing more"
    assert answer_bits(30, 1) < answer_bits(30, 3) < 30 + 3


@pytest.mark.parametrize("n", [88, 300, 1000])
def test_budget_bits__is_where_the_deviation_meets_the_tolerance(n):
    assert deviation(budget_bits(0.25, n), n) == pytest.approx(0.25)
    assert budget_bits(0.25, 10) == 0.0


def test_ladder__climbs_by_a_step_or_stays():
    ladder, better = Ladder(0.02).climb(0.911)
    assert (better, ladder.best) == (True, pytest.approx(0.90))
    same, better = ladder.climb(0.915)
    assert (same, better) == (ladder, False)
    assert ladder.climb(0.921)[1]


def test_ladder__a_step_of_nothing_is_refused():
    with pytest.raises(DataError, match=r"challenge\.step"):
        Ladder(0.0)
