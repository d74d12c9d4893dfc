"""Exact tests on paired answers: one vote per group, because frames of one drive are not independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Votes:
    """Groups in which the challenger makes fewer errors, more errors, or as many as the champion."""

    better: int
    worse: int
    equal: int

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.better + self.worse + self.equal


def group_votes(
    champion_right: npt.NDArray[np.bool_], challenger_right: npt.NDArray[np.bool_], groups: IntArray
) -> Votes:
    """One vote per group: the sign of (challenger's right answers - champion's right answers).

    Args:
        champion_right: bool [N].
        challenger_right: bool [N].
        groups: int [N], 0..G-1, as `np.unique(..., return_inverse=True)` numbers them.
    """
    gain = challenger_right.astype(np.int64) - champion_right.astype(np.int64)
    net = np.bincount(groups, weights=gain)
    present = np.bincount(groups) > 0
    better, worse = int((net > 0).sum()), int((net < 0).sum())
    return Votes(better, worse, int(present.sum()) - better - worse)


def mcnemar_p(better: int, worse: int) -> float:
    """Exact one-sided McNemar p-value: P(at least `better` of the discordant votes) if each falls either way at 1/2.

    Example:
        >>> round(mcnemar_p(9, 1), 4)
        0.0107
        >>> mcnemar_p(0, 0)
        1.0
    """
    return 1.0 if better == 0 else float(special.bdtrc(better - 1, better + worse, 0.5))


def loss_bound(better: int | IntArray, worse: int | IntArray, groups: int, alpha: float) -> npt.NDArray[np.float64]:
    """Upper confidence bound, exact and conservative, on P(worse) - P(better) of a group.

    Two one-sided Clopper-Pearson bounds at alpha / 2 each (Bonferroni), so it holds with probability >= 1 - alpha
    whatever the share of discordant groups is.

    Args:
        better: groups the challenger wins.
        worse: groups it loses.
        groups: all groups.
        alpha: allowed probability of a bound that is too low.
    """
    better, worse = np.asarray(better, dtype=np.float64), np.asarray(worse, dtype=np.float64)
    inside = np.minimum(worse, groups - 1)
    most_worse = np.where(worse >= groups, 1.0, special.betaincinv(inside + 1, groups - inside, 1 - alpha / 2))
    least_better = special.betaincinv(np.maximum(better, 1), groups - np.maximum(better, 1) + 1, alpha / 2)
    return np.asarray(most_worse - np.where(better > 0, least_better, 0.0))


@cache
def pass_probability(groups: int, alpha: float, margin: float, discordance: float) -> float:
    """Probability that two equally good models pass the non-inferiority test.

    Args:
        groups: number of groups.
        alpha: level of the test.
        margin: largest tolerated loss.
        discordance: share of groups on which the two models differ, half of them either way.
    """
    if groups == 0:
        return 0.0
    most = min(groups, int(groups * discordance + 12 * np.sqrt(groups * discordance) + 12))
    counts = np.arange(most + 1)
    worse, better = (a.ravel() for a in np.meshgrid(counts, counts))
    kept = worse + better <= groups
    worse, better = worse[kept], better[kept]
    passed = loss_bound(better, worse, groups, alpha) <= margin
    worse, better = worse[passed], better[passed]
    half = discordance / 2
    ways = special.gammaln(groups + 1) - special.gammaln(worse + 1) - special.gammaln(better + 1)
    ways -= special.gammaln(groups - worse - better + 1)
    logs = ways + (worse + better) * np.log(half) + (groups - worse - better) * np.log1p(-discordance)
    return float(min(1.0, np.exp(logs).sum()))


def number_groups(groups: Sequence[str]) -> IntArray:
    """Group names as numbers 0..G-1."""
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1].astype(np.int64)
