import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.calibration.threshold import best_threshold, remap
from streetvision_core.errors import CalibrationError
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.objectives import RULES, objective
from tests.unit.calibration.simulated import scored

probability = st.floats(0, 1)


@given(st.lists(probability, min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_remap__never_half_never_edge_and_monotone(values, t):
    out = remap(values, t)
    assert ((out > 0) & (out < 1)).all() and (np.abs(out - 0.5) >= 1e-4 - 1e-12).all()
    assert ((out > 0.5) == (np.array(values) > t)).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(out[order]) >= 0).all()
    assert all(round(float(v), 4) != 0.5 for v in out)


def test_remap__half_is_almost_the_identity():
    p = np.linspace(0.01, 0.99, 50)
    assert remap(p, 0.5) == pytest.approx(p, abs=1e-4)


@pytest.mark.parametrize(("p", "t"), [([math.nan], 0.5), ([0.2, 1.2], 0.5), ([-1.0], 0.5), ([0.5], 0.0), ([0.5], 1.0)])
def test_remap__refuses(p, t):
    with pytest.raises(CalibrationError, match="no NaN"):
        remap(p, t)


def shifted(p, prevalence, own):
    """The probability in a stream of a prevalence, of one calibrated on rows of another."""
    odds = np.log(p / (1 - p)) + np.log(prevalence / (1 - prevalence)) - np.log(own / (1 - own))
    return 1 / (1 + np.exp(-odds))


@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.5])
def test_best_threshold__accuracy_ends_where_the_shifted_probability_is_one_half(prevalence):
    """Cost with equal prices is accuracy, whose best threshold is known exactly: Bayes' rule."""
    _, _, p = scored(4000, seed=4, bias=-1.0)
    t = best_threshold(p, objective("cost"), prevalence=prevalence)
    assert shifted(t, prevalence, p.mean()) == pytest.approx(0.5, abs=0.06)


def test_best_threshold__a_dear_miss_lowers_it_to_its_price():
    """A miss that costs as much as nine false positives pays for calls from 0.1 on."""
    _, _, p = scored(4000, seed=4)
    t = best_threshold(p, objective("cost", 9.0), prevalence=float(p.mean()))
    assert t == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("prevalence", [0.05, 0.5])
def test_best_threshold__is_about_the_best_of_a_large_sample(rule, prevalence):
    """What is expected from 300 rows is nearly the best that any threshold earns on 20,000 others."""
    _, _, few = scored(300, seed=5)
    _, y, p = scored(20_000, seed=6)
    cuts = np.linspace(0.01, 0.99, 197)
    found, specific = (np.array([(p[y == c] > t).mean() for t in cuts]) for c in (1, 0))
    earned = objective(rule)(Confusion.from_rates(found, 1 - specific, prevalence))
    t = best_threshold(few, objective(rule), prevalence=prevalence)
    assert earned[np.argmin(np.abs(cuts - t))] > earned.max() - 0.02


def test_best_threshold__scatters_less_than_the_best_on_labels():
    """54 rows, as many as there are photographs in CALIBRATE, of a stream with one frame in fifty."""
    goal, ours, theirs = objective("f1"), [], []
    for seed in range(40):
        _, y, p = scored(54, seed=seed)
        cuts = 1 / (1 + np.exp(-np.linspace(-6, 6, 121)))
        found, false = (np.array([(p[y == c] > t).mean() for t in cuts]) for c in (1, 0))
        earned = goal(Confusion.from_rates(found, 1 - false, 0.02))
        theirs.append(np.log(cuts / (1 - cuts))[earned == earned.max()].mean())
        t = best_threshold(p, goal, prevalence=0.02)
        ours.append(np.log(t / (1 - t)))
    assert np.std(ours) < 0.7 * np.std(theirs)


def test_best_threshold__resamples_groups_and_repeats():
    _, _, p = scored(200, seed=3)
    groups = [str(i // 20) for i in range(200)]
    once, again, alone = (
        best_threshold(p, objective("mcc"), names, prevalence=0.5, seed=1) for names in (groups, groups, None)
    )
    assert once == again != alone
