import numpy as np
import pytest

from streetvision_core.serving.drift import EDGES, STEP, WINDOW, Drift, distance, shares_of, threshold
from streetvision_core.serving.metrics import Metrics

REFERENCE = shares_of(np.random.default_rng(1).beta(0.5, 1.0, 2000))


def test_shares_of__every_probability_has_one_bin():
    assert shares_of([0.0, 0.049, 0.05, 0.5, 0.95, 1.0]) == pytest.approx(
        (2 / 6, 1 / 6, *[0] * 4, 1 / 6, *[0] * 4, 2 / 6)
    )
    assert shares_of([]) == ()


def test_distance__of_all_and_nothing():
    assert distance((1.0, 0.0), (0.0, 1.0)) == 1
    assert distance((0.3, 0.7), (0.3, 0.7)) == 0


@pytest.mark.parametrize("n", [100, 1000])
def test_threshold__chance_alone_exceeds_it_once_in_a_hundred_times(n):
    rng = np.random.default_rng(7)
    drawn = rng.multinomial(n, REFERENCE, 5000) / n
    alarms = np.mean(np.abs(drawn - np.array(REFERENCE)).sum(axis=1) / 2 > threshold(REFERENCE, n))
    assert alarms == pytest.approx(0.01, abs=0.006)


@pytest.mark.parametrize(("shift", "drifts"), [(0.0, False), (0.15, True)])
def test_note__sees_a_shift_and_not_its_absence(shift, drifts):
    drift, rng = Drift(), np.random.default_rng(3)
    for p in np.clip(rng.beta(0.5, 1.0, WINDOW) + shift, 0, 1):
        drift.note(p, REFERENCE)
    assert (drift.value > drift.limit) is drifts


def test_note__needs_enough_answers_and_a_reference():
    drift = Drift()
    assert [drift.note(0.3, REFERENCE) for _ in range(STEP)] == [False] * (STEP - 1) + [True]
    assert not any(Drift().note(0.3, ()) for _ in range(3 * STEP))
    assert len(REFERENCE) == len(EDGES) + 1


def test_metrics__each_version_is_compared_with_its_own_reference_and_old_ones_are_forgotten():
    metrics = Metrics()
    for number in range(6):
        for _ in range(STEP):
            metrics.note_drift(f"v{number}", 0.99, REFERENCE)
    value = lambda version: metrics.registry.get_sample_value("sv_p_drift", {"version": version})  # noqa: E731
    limit = metrics.registry.get_sample_value("sv_p_drift_limit", {"version": "v5"})
    assert value("v5") > limit > 0
    assert value("v0") is None
