"""The rule against the validator's own scikit-learn calls, and the fast path against the step-by-step one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, matthews_corrcoef, precision_score

from streetvision_core.errors import DataError
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.sn72 import (
    SN72Rule,
    SN72Tracker,
    draw_streams,
    moving_average,
    reward,
    window_rewards,
)


def validator_metrics(predictions: list[float], labels: list[int], window: int) -> tuple[float, float]:
    """What the validator computes, with its library and its order of steps."""
    recent = list(zip(predictions[-100:], labels[-100:], strict=True))[-window:]
    kept = [(p, y) for p, y in recent if p != -1]
    if not kept:
        return 0.0, 0.0
    decisions, truth = np.round(np.array([p for p, _ in kept])), np.array([y for _, y in kept])
    try:
        accuracy = accuracy_score(truth, decisions)
        precision_score(truth, decisions, zero_division=0)  # refuses a third class and NaN
        both = len(np.unique(truth)) > 1 and len(np.unique(decisions)) > 1
        mcc = max(0, matthews_corrcoef(truth, decisions)) if both else 0.0
    except ValueError:
        return 0.0, 0.0
    return float(mcc), float(accuracy)


def validator_rewards(predictions: list[float], labels: list[int]) -> list[float]:
    rewards = []
    for t in range(1, len(predictions) + 1):
        p = predictions[t - 1]
        value = 0.0
        if p != -1:
            mcc = validator_metrics(predictions[:t], labels[:t], 100)[0]
            accuracy = validator_metrics(predictions[:t], labels[:t], 10)[1]
            value = ((0.5 * mcc + 0.5 * accuracy) * (0.0 if p < 0 or p > 1 else 1.0)) ** 3
        rewards.append(value)
    return rewards


ODD = (-1.0, 0.5, 0.0, 1.0, 1.3, -0.3, 2.7, -0.8, float("nan"))


def sequence(seed: int, steps: int, odd_share: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, steps)
    p = np.clip(0.5 + (y - 0.5) * 0.5 + rng.normal(0, 0.35, steps), 0, 1)
    odd = rng.random(steps) < odd_share
    return np.where(odd, rng.choice(ODD, steps), p), y


@pytest.mark.parametrize(("seed", "odd_share"), [(0, 0.0), (1, 0.01), (2, 0.3)])
def test_tracker__equals_the_validators_library(seed: int, odd_share: float) -> None:
    p, y = sequence(seed, 160, odd_share)
    tracker = SN72Tracker()
    ours = [tracker.update(a, b) for a, b in zip(p, y, strict=True)]
    assert ours == pytest.approx(validator_rewards(p.tolist(), y.tolist()))


@pytest.mark.parametrize("odd_share", [0.0, 0.01, 0.2])
def test_window_rewards__equals_the_tracker(odd_share: float) -> None:
    pairs = [sequence(seed, 260, odd_share) for seed in range(6)]
    p, y = np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])
    fast = window_rewards(p, y)
    averages = moving_average(fast)
    for i in range(len(pairs)):
        tracker = SN72Tracker()
        for t in range(p.shape[1]):
            assert fast[i, t] == pytest.approx(tracker.update(p[i, t], y[i, t]), abs=1e-12)
            assert averages[i, t] == pytest.approx(tracker.score, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.one_of(st.floats(0, 1), st.sampled_from(ODD)), st.integers(0, 1)), min_size=1, max_size=30
    )
)
def test_window_rewards__equals_the_tracker_on_anything(rows: list[tuple[float, int]]) -> None:
    tracker = SN72Tracker()
    slow = [tracker.update(p, y) for p, y in rows]
    fast = window_rewards([p for p, _ in rows], [y for _, y in rows])
    np.testing.assert_allclose(fast, slow, atol=1e-12)
    assert ((fast >= 0) & (fast <= 1)).all()


@pytest.mark.parametrize(("accuracy", "mcc", "paid"), [(0.95, 0.90, 0.79), (0.97, 0.94, 0.87), (0.99, 0.98, 0.96)])
def test_reward__published_table(accuracy: float, mcc: float, paid: float) -> None:
    assert float(reward(mcc, accuracy)) == pytest.approx(paid, abs=0.005)


def test_reward__negative_correlation_counts_as_none() -> None:
    assert float(reward(-0.7, 0.4)) == pytest.approx(0.2**3)


def test_tracker__half_counts_as_zero() -> None:
    assert SN72Tracker().update(0.5, 0) == pytest.approx(0.125)
    assert SN72Tracker().update(0.5, 1) == 0


def test_tracker__one_class_earns_no_correlation() -> None:
    tracker = SN72Tracker()
    assert [tracker.update(0.9, 1) for _ in range(5)][-1] == pytest.approx(0.125)


def test_tracker__no_answer_earns_nothing_and_leaves_the_metrics() -> None:
    tracker = SN72Tracker()
    for p, y in ((0.9, 1), (0.1, 0)):
        tracker.update(p, y)
    assert tracker.update(-1, 1) == 0
    assert tracker.metrics(100) == (1.0, 1.0)
    assert tracker.update(0.9, 1) == 1


def test_tracker__a_broken_answer_costs_a_hundred_steps() -> None:
    tracker = SN72Tracker()
    tracker.update(float("nan"), 1)
    rewards = [tracker.update(float(i % 2), i % 2) for i in range(120)]
    assert max(rewards[:8]) == 0
    assert rewards[98] < 0.13  # accuracy has recovered after 10 rows, correlation not within 100
    assert rewards[99:] == [1.0] * 21


def test_moving_average__constant_reward() -> None:
    scores = moving_average(np.ones((2, 50)))
    np.testing.assert_allclose(scores, np.broadcast_to(1 - 0.95 ** np.arange(1, 51), (2, 50)))
    assert moving_average(np.zeros(3), start=1.0)[-1] == pytest.approx(0.95**3)


def test_rule__score_is_order_free_and_pays_the_answered_share() -> None:
    rule = SN72Rule()
    p, y = sequence(4, 80, 0.0)
    order = np.random.default_rng(0).permutation(80)
    assert rule.score(p, y) == pytest.approx(rule.score(p[order], y[order]))
    expected = validator_metrics(p.tolist(), y.tolist(), 100)
    assert rule.score(p, y) == pytest.approx(float(reward(*expected)))
    assert rule.score([1.0, 0.0, -1.0, -1.0], [1, 0, 1, 0]) == pytest.approx(0.5)
    assert rule.score([1.0, 0.0, float("nan")], [1, 0, 1]) == 0


def test_rule__score_many_equals_score() -> None:
    pairs = [sequence(seed, 60, 0.02) for seed in range(8)]
    p, y = np.stack([a for a, _ in pairs]), np.stack([b for _, b in pairs])
    rule = SN72Rule()
    np.testing.assert_allclose(rule.score_many(p, y), [rule.score(a, b) for a, b in pairs])


def test_rule__expected_agrees_with_the_reward_for_known_rates() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 2000)
    p = np.where(rng.permutation(np.tile(np.arange(2000) < 1960, 2)), y, 1 - y).astype(float)  # 98 % right
    rates = Confusion.count(p > 0.5, y > 0)
    simulated = SN72Rule().expected(p, y)
    assert simulated == pytest.approx(float(SN72Rule().from_confusion(rates)), abs=0.02)
    assert simulated == SN72Rule().expected(p, y)


def test_rule__expected_draws_labels_uniformly_as_validators_do() -> None:
    y = np.array([1] * 90 + [0] * 10)
    p = np.where(y == 1, 1.0, 0.9)  # right on every positive, wrong on every negative
    assert SN72Rule().score(p, y) > 2 * SN72Rule().expected(p, y)


def test_rule__refuses_shapes_and_labels() -> None:
    with pytest.raises(DataError, match="same shape"):
        SN72Rule().score([0.5], [1, 0])
    with pytest.raises(DataError, match="ambiguous"):
        window_rewards([0.5], [2])


def test_draw_streams__balanced_and_one_class() -> None:
    y = np.array([True] * 3 + [False] * 97)
    chosen = draw_streams(y, 50, 100, np.random.default_rng(0))
    assert y[chosen].mean() == pytest.approx(0.5, abs=0.05)
    assert set(np.unique(draw_streams(np.ones(4, bool), 5, 50, np.random.default_rng(0)))) == {0, 1, 2, 3}
