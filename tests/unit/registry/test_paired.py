from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from streetvision_core.registry.paired import (
    group_votes,
    loss_bound,
    mcnemar_p,
    number_groups,
    pass_probability,
)
from streetvision_core.scoring.metrics import clopper_pearson


def test_group_votes__one_per_group() -> None:
    groups = number_groups(["a"] * 5 + ["b", "c", "c", "d"])
    champion = np.array([1, 0, 0, 0, 0, 1, 0, 1, 1], dtype=bool)
    challenger = np.array([0, 1, 1, 1, 1, 0, 1, 0, 1], dtype=bool)
    votes = group_votes(champion, challenger, groups)
    assert (votes.better, votes.worse, votes.equal, votes.groups) == (1, 1, 2, 4)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_p__is_the_exact_binomial(better: int, worse: int) -> None:
    expected = 1.0
    if better + worse:
        expected = stats.binomtest(better, better + worse, 0.5, alternative="greater").pvalue
    assert mcnemar_p(better, worse) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_mcnemar_p__level_holds_for_every_number_of_votes(alpha: float) -> None:
    for votes in range(1, 200):
        better = np.arange(votes + 1)
        rejected = np.array([mcnemar_p(int(b), votes - int(b)) <= alpha for b in better])
        assert stats.binom.pmf(better[rejected], votes, 0.5).sum() <= alpha


def _trinomial(groups: int, p_better: float, p_worse: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    worse, better = (a.ravel() for a in np.meshgrid(np.arange(groups + 1), np.arange(groups + 1)))
    kept = worse + better <= groups
    worse, better = worse[kept], better[kept]
    equal = groups - worse - better
    logs = special.gammaln(groups + 1) - special.gammaln([worse + 1, better + 1, equal + 1]).sum(0)
    logs = logs + special.xlogy(worse, p_worse) + special.xlogy(better, p_better)
    return better, worse, np.exp(logs + special.xlogy(equal, 1 - p_worse - p_better))


@pytest.mark.parametrize("groups", [30, 80, 200])
@pytest.mark.parametrize("p_better", [0.0, 0.01, 0.05, 0.2, 0.45])
def test_loss_bound__level_holds_at_the_border(groups: int, p_better: float) -> None:
    alpha, margin = 0.05, 0.05
    better, worse, weight = _trinomial(groups, p_better, p_better + margin)
    assert weight.sum() == pytest.approx(1.0)
    passed = loss_bound(better, worse, groups, alpha) <= margin
    assert weight[passed].sum() <= alpha


@pytest.mark.parametrize(("groups", "discordance"), [(40, 0.02), (150, 0.02), (150, 0.06), (200, 0.1)])
def test_pass_probability__equals_full_enumeration(groups: int, discordance: float) -> None:
    better, worse, weight = _trinomial(groups, discordance / 2, discordance / 2)
    expected = weight[loss_bound(better, worse, groups, 0.05) <= 0.05].sum()
    assert pass_probability(groups, 0.05, 0.05, discordance) == pytest.approx(expected, abs=1e-9)


def test_pass_probability__few_groups_carry_nothing() -> None:
    assert [pass_probability(n, 0.05, 0.05, 0.02) >= 0.8 for n in (0, 1, 45, 100, 150, 400)] == [False] * 4 + [True] * 2


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (3, 1), (0, 40), (40, 0), (20, 20)])
def test_loss_bound__is_two_clopper_pearson_bounds(better: int, worse: int) -> None:
    expected = clopper_pearson(worse, 40, 0.95)[1] - clopper_pearson(better, 40, 0.95)[0]
    assert float(loss_bound(better, worse, 40, 0.05)) == pytest.approx(expected)


def test_loss_bound__all_groups_worse() -> None:
    assert float(loss_bound(0, 10, 10, 0.05)) == 1.0
    assert float(loss_bound(10, 0, 10, 0.05)) < 0
