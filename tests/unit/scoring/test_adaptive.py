import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.scoring.adaptive import Ladder, deviation, rounded, shown_bits


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
        state = {"ladder": Ladder(0.05), "bits": 0.0}

        def told(shown, state=state):
            state["ladder"], better, shown_now = state["ladder"].climb(shown)
            state["bits"] += shown_now
            return better

        gaps.append(boosting_attack(rng, n, 60, told) - 0.5)
        bits = max(bits, state["bits"])
    full = [boosting_attack(rng, n, 60, lambda shown: shown > 0.5) - 0.5 for _ in range(100)]
    assert np.mean(gaps) < np.mean(full)
    assert bits < 60 * shown_bits(n) / 2
    assert np.mean(np.array(gaps) <= deviation(bits, n)) >= 0.95


def test_ladder__climbs_by_a_step_or_stays():
    ladder, better, bits = Ladder(0.02).climb(0.911)
    assert (better, ladder.best) == (True, pytest.approx(0.90))
    assert bits > 1
    same, better, bits = ladder.climb(0.915)
    assert (same, better, bits) == (ladder, False, 1.0)
    assert ladder.climb(0.921)[1]


def test_ladder__a_step_of_nothing_is_refused():
    with pytest.raises(DataError, match=r"challenge\.step"):
        Ladder(0.0)
