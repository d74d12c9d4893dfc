"""Two stages together: the true error of every side of every stage is known."""

import numpy as np

from streetvision_core.cascade.certify import certify_stages, exits_of

ALPHA, DELTA, N, REPEATS = 0.05, 0.1, 1200, 300
RNG = np.random.default_rng(0)
Z1 = RNG.normal(scale=2.0, size=100_000)
Z2 = 0.6 * Z1 + RNG.normal(scale=2.0, size=100_000)
TRUTH = 0.01 + 0.98 / (1 + np.exp(-(0.8 * Z1 + 2.5 * Z2)))
GROUPS = [str(i) for i in range(N)]


def simulate(rng):
    rows = rng.integers(0, len(Z1), N)
    y = (rng.random(N) < TRUTH[rows]).astype(int)
    return certify_stages({"classifier": Z1[rows], "detectors": Z2[rows]}, y, GROUPS, ALPHA, DELTA)


def worst_error(bands):
    """The largest true error of any side of any stage, among the frames that reach it."""
    left = np.ones(len(Z1), bool)
    errors = [0.0]
    for band, z in ((bands["classifier"], Z1), (bands["detectors"], Z2)):
        p = 1 / (1 + np.exp(-z))
        low, high = left & band.exits_low(p), left & band.exits_high(p)
        errors += [TRUTH[low].mean()] if low.any() else []
        errors += [(1 - TRUTH[high]).mean()] if high.any() else []
        left &= ~low & ~high
    return max(errors)


def test_certify_stages__all_certificates_hold_together():
    rng = np.random.default_rng(1)
    bands = [simulate(rng) for _ in range(REPEATS)]
    rate = np.mean([worst_error(b) > ALPHA for b in bands])
    assert rate <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / REPEATS)
    assert np.mean([b["detectors"].certified for b in bands]) > 0.5, "stage 2 must have had something to prove"
    assert all(b["classifier"].delta == DELTA / 2 for b in bands)


def test_certify_stages__second_stage_sees_only_what_is_left():
    rng = np.random.default_rng(2)
    rows = rng.integers(0, len(Z1), N)
    y = (rng.random(N) < TRUTH[rows]).astype(int)
    bands = certify_stages({"classifier": Z1[rows], "detectors": Z2[rows]}, y, GROUPS, ALPHA, DELTA)
    left = N - bands["classifier"].n_exits
    assert bands["detectors"].n_exits == round(bands["detectors"].coverage * left)


def test_certify_stages__rows_without_a_score_are_left_out():
    z = np.r_[np.full(100, -3.0), np.full(100, np.nan)]
    bands = certify_stages({"classifier": z}, np.zeros(200), GROUPS[:200], ALPHA, DELTA)
    assert bands["classifier"].n_exits == 100 and bands["classifier"].coverage == 1.0
    assert exits_of(bands["classifier"], z).tolist() == [True] * 100 + [False] * 100
