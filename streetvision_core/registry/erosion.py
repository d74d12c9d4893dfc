"""The second guard: a challenger is compared with the first version of its make, not only with yesterday's champion.

Each promotion may lose a little on photographs within the champion's guard and win elsewhere; a chain of such
promotions may lose a lot. The first version that served with today's backbone and preprocessing does not move, so what
is lost against it cannot add up. Where the photographs have groups enough, a test says so of the world: a version that
is worse than the first by more than the margin passes with probability alpha at most, however many promotions lie
between them. Where they have not, a guard counts errors, and what it promises holds for these rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.registry.paired import IntArray, group_votes, loss_bound, pass_probability
from streetvision_core.settings import GateSettings

CARRY_POWER: Final = 0.8
CARRY_DISCORDANCE: Final = 0.04
"""Versions many nights apart differ on more groups than two in a row (0.02 there)."""
GUARD_FREE_ERRORS: Final = 1
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class FirstAnswers:
    """What the first version of today's make answers on the gate's rows.

    Attributes:
        version: its name.
        p: probabilities [N] in [0, 1].
        photographs: which of the N rows are photographs, not rendered.
    """

    version: str
    p: npt.ArrayLike
    photographs: Sequence[bool] | Bools


@dataclass(frozen=True, slots=True)
class Erosion:
    """How the challenger does on photographs against the first version.

    Attributes:
        first: name of the first version.
        kind: `test` where the groups carry one, else `guard`.
        rows: photographs.
        groups: groups of them.
        better: groups in which the challenger makes fewer errors.
        worse: groups in which it makes more.
        extra_errors: errors of the challenger beyond the first version's.
        bound: upper bound of the loss, at confidence 1 - alpha.
        passed: whether no more is lost than the margin.
        reason: one sentence with these numbers.
    """

    first: str
    kind: str
    rows: int
    groups: int
    better: int
    worse: int
    extra_errors: int
    bound: float
    passed: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def erosion_protocol(settings: GateSettings) -> dict[str, Any]:
    """The guard's rules, fixed before any data are seen."""
    return {
        "against": "the first version that served with this backbone and preprocessing, where there is one",
        "rows": "photographs",
        "margin": settings.erosion_margin,
        "test": "P(worse) - P(better) <= margin by Clopper-Pearson bounds at alpha / 2 each",
        "carries_a_test": f"equal models differing on {CARRY_DISCORDANCE} of groups pass with power {CARRY_POWER}",
        "guard": f"extra errors <= max({GUARD_FREE_ERRORS}, floor(margin * rows))",
    }


def measure_erosion(
    first: str, first_right: Bools, challenger_right: Bools, groups: IntArray, settings: GateSettings
) -> Erosion | None:
    """Compares a challenger with the first version on photographs.

    Args:
        first: name of the first version.
        first_right: bool [N], its right answers on photographs.
        challenger_right: bool [N], the challenger's.
        groups: int [N], the group of each row.
        settings: alpha and `erosion_margin`.

    Returns:
        The result; None without photographs.
    """
    if not first_right.size:
        return None
    rows, n_groups = int(first_right.size), int(np.unique(groups).size)
    votes = group_votes(first_right, challenger_right, groups)
    extra = int(first_right.sum()) - int(challenger_right.sum())
    margin, alpha = settings.erosion_margin, settings.alpha
    bound = float(loss_bound(votes.better, votes.worse, n_groups, alpha))
    tested = pass_probability(n_groups, alpha, margin, CARRY_DISCORDANCE) >= CARRY_POWER
    allowed = max(GUARD_FREE_ERRORS, int(np.floor(margin * rows + 1e-9)))
    passed = bound <= margin if tested else extra <= allowed
    rule = (
        f"margin {margin:g}"
        if tested
        else f"a guard, not a test ({n_groups} groups cannot carry one): at most {allowed:+d} errors"
    )
    reason = (
        f"Photographs against the first version {first} {'passed' if passed else 'failed'}: {extra:+d} errors over "
        f"{rows} rows, worse in {votes.worse}, better in {votes.better} of {n_groups} groups; loss at most "
        f"{bound:.4f} with {1 - alpha:.0%} confidence; {rule}."
    )
    kind = "test" if tested else "guard"
    return Erosion(first, kind, rows, n_groups, votes.better, votes.worse, extra, bound, passed, reason)
