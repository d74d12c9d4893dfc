"""The guarantee is proved by simulation: the true error of what is certified is known."""

import json

import numpy as np
import pytest
from scipy.stats import binom

from streetvision_core.calibration.exits import ExitBand, certify_band, one_row_per_group
from streetvision_core.errors import CalibrationError
from tests.unit.calibration.simulated import sigmoid

ALPHA, DELTA, REPEATS = 0.05, 0.1, 600
POPULATION = np.sort(np.random.default_rng(99).normal(scale=2.2, size=200_000))
TRUTH = 0.01 + 0.98 * sigmoid(2.0 * POPULATION)  # one label in a hundred is wrong however sure the score
GROUPS = [str(i) for i in range(1200)]


def draw(rng, n):
    rows = rng.integers(0, len(POPULATION), n)
    return sigmoid(POPULATION[rows]), (rng.random(n) < TRUTH[rows]).astype(int)


def true_errors(band):
    """True error of each side's exits; 0 where nothing exits."""
    p = sigmoid(POPULATION)
    low, high = band.exits_low(p), band.exits_high(p)
    return (TRUTH[low].mean() if low.any() else 0.0), (1 - TRUTH[high].mean() if high.any() else 0.0)


def violation_rate(certify, n, repeats=REPEATS):
    rng = np.random.default_rng(7)
    return np.mean([max(true_errors(certify(*draw(rng, n)))) > ALPHA for _ in range(repeats)])


def searched_band(p, y):
    """What not to do: the widest threshold that looks good at level delta on the rows it was searched on."""
    edges = np.unique(p)
    best = {"low": 0.0, "high": 1.0}
    order = np.argsort(p)
    for name, errors in (("low", y[order]), ("high", 1 - y[order][::-1])):
        wrong, counts = np.cumsum(errors), np.arange(1, len(p) + 1)
        good = np.flatnonzero(wrong <= ALPHA * counts)
        if len(good):
            best[name] = edges[good[-1]] if name == "low" else edges[::-1][good[-1]]
    return ExitBand(best["low"], best["high"], True, "", 0, 0, 0.0, ALPHA, DELTA)


@pytest.mark.parametrize("n", [250, 1200])
def test_certify_band__violations_stay_within_delta(n):
    rate = violation_rate(lambda p, y: certify_band(p, y, GROUPS[:n], ALPHA, DELTA), n)
    tolerance = 3 * np.sqrt(DELTA * (1 - DELTA) / REPEATS)
    assert rate <= DELTA + tolerance


@pytest.mark.parametrize("n", [90, 400, 1200])
def test_certify_band__hardest_case_just_above_alpha(n):
    """The error is a hair above alpha at every score, so each certificate is wrong: the test at its tightest."""
    rng = np.random.default_rng(8)
    wrong = 0
    for _ in range(REPEATS):
        p = sigmoid(-np.abs(rng.normal(scale=3.0, size=n)))
        wrong += certify_band(p, rng.random(n) < ALPHA * 1.001, GROUPS[:n], ALPHA, DELTA).certified
    assert wrong / REPEATS <= DELTA / 2 + 3 * np.sqrt(DELTA / 2 / REPEATS)


def test_certify_band__searching_without_a_test_breaks_the_guarantee():
    rate = violation_rate(searched_band, 1200, repeats=150)
    assert rate > 0.3


def test_certify_band__is_not_vacuous():
    rng = np.random.default_rng(1)
    bands = [certify_band(*draw(rng, 1200), GROUPS, ALPHA, DELTA) for _ in range(40)]
    assert np.mean([b.certified for b in bands]) > 0.95
    assert np.mean([b.coverage for b in bands]) > 0.25


def test_certify_band__copies_of_a_group_prove_nothing():
    """Thirty rows copied twenty times are thirty rows."""
    p, y = np.full(30, 0.01), np.zeros(30)
    band = certify_band(np.repeat(p, 20), np.repeat(y, 20), np.repeat(GROUPS[:30], 20).tolist(), ALPHA, DELTA)
    assert not band.certified and band.low == 0.0 and band.high == 1.0
    assert "independent rows needed" in band.reason
    own_groups = certify_band(np.repeat(p, 20), np.repeat(y, 20), GROUPS[:600], ALPHA, DELTA)
    assert own_groups.certified, "without groups the same rows would be believed"


@pytest.mark.parametrize(("n", "certified"), [(71, False), (72, True)])
def test_certify_band__least_rows_without_an_error(n, certified):
    """0.95^n <= 0.025 first holds at n = 72."""
    band = certify_band(np.full(n, 0.01), np.zeros(n), GROUPS[:n], 0.05, 0.05)
    assert (band.low > 0) is certified and band.high == 1.0
    assert binom.cdf(0, n, 0.05) <= 0.025 or not certified


def test_certify_band__errors_close_a_side_and_are_named():
    y = np.r_[np.ones(12), np.zeros(88)]
    band = certify_band(np.full(100, 0.01), y, GROUPS[:100], 0.05, 0.05)
    assert not band.certified and "12 errors among 100 rows (0 allowed)" in band.reason


def test_certify_band__one_wrong_label_among_many_is_tolerated():
    p = np.r_[1e-6, np.full(400, 0.001)]
    y = np.r_[1, np.zeros(400)]
    band = certify_band(p, y, GROUPS[:401], 0.05, 0.05)
    assert band.certified and band.n_errors == 1


def test_certify_band__an_origin_that_contradicts_narrows_it():
    """90 % of the rows are easy rendered ones; the few photos are half wrong below 0.2."""
    p = np.r_[np.full(400, 0.01), np.full(20, 0.2)]
    y = np.r_[np.zeros(400), np.tile([0, 1], 10)]
    origins = ["rendered"] * 400 + ["photo"] * 20
    pooled = certify_band(p, y, GROUPS[:420], 0.05, 0.05)
    guarded = certify_band(p, y, GROUPS[:420], 0.05, 0.05, origins=origins)
    assert pooled.low > 0.2 > guarded.low > 0.01
    all_bad = certify_band(np.full(420, 0.01), y, GROUPS[:420], 0.05, 0.05, origins=origins)
    assert not all_bad.certified and "contradicted by photo: 10 errors among 20 rows" in all_bad.reason


def test_certify_band__same_seed_same_band():
    p, y = draw(np.random.default_rng(3), 600)
    groups = [str(i // 2) for i in range(600)]
    assert certify_band(p, y, groups, ALPHA, DELTA, seed=5) == certify_band(p, y, groups, ALPHA, DELTA, seed=5)


@pytest.mark.parametrize(
    ("p", "y", "groups"), [([0.5, np.nan], [0, 1], "ab"), ([0.5], [0, 1], "ab"), ([1.5], [1], "a")]
)
def test_certify_band__refuses(p, y, groups):
    with pytest.raises(CalibrationError, match="one score"):
        certify_band(p, y, list(groups), 0.05, 0.05)


def test_certify_band__no_rows_never_exits():
    band = certify_band([], [], [], 0.05, 0.05)
    assert not band.certified and not band.exits_low([0.0]).any() and not band.exits_high([1.0]).any()


def test_exit_band__json_round_trip():
    band = certify_band(*draw(np.random.default_rng(4), 900), GROUPS[:900], ALPHA, DELTA)
    assert ExitBand.from_dict(json.loads(json.dumps(band.to_dict()))) == band


def test_one_row_per_group__draws_each_row_equally():
    groups = ["a"] * 4 + ["b"]
    drawn = [one_row_per_group(groups, seed) for seed in range(400)]
    assert all(len(rows) == 2 and rows[1] == 4 for rows in drawn)
    assert np.bincount([rows[0] for rows in drawn]).min() > 60
