"""What a decision threshold is chosen for: a number to make large, from counts or shares of decisions.

Example:
    >>> balanced = Confusion.from_rates([0.8, 0.9], [0.9, 0.7], 0.5)
    >>> [round(float(v), 3) for v in objective("mcc")(balanced)]
    [0.704, 0.612]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, get_args

from streetvision_core.errors import SettingsError
from streetvision_core.scoring._arrays import Doubles
from streetvision_core.scoring.confusion import Confusion, ratio
from streetvision_core.scoring.sn72 import SN72Rule

Rule = Literal["mcc", "sn72", "f1", "cost"]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)
Objective = Callable[[Confusion], Doubles]
"""Scores [T] of T thresholds, higher is better."""


def objective(rule: Rule, miss_cost: float = 1.0) -> Objective:
    """The objective of a rule.

    Args:
        rule: Matthews' correlation, subnet 72's reward, F1, or the expected cost.
        miss_cost: for `cost`: what a missed road work costs, in false positives.

    Raises:
        SettingsError: no such rule.
    """
    if rule not in RULES:
        raise SettingsError(f"scoring rule {rule!r}", ", ".join(RULES), "set scoring.rule to one of them", rule=rule)
    if rule == "cost":
        return lambda table: -ratio(table.fp + miss_cost * table.fn, table.total, empty=0.0)
    known: dict[Rule, Objective] = {"mcc": Confusion.mcc, "f1": Confusion.f1, "sn72": SN72Rule().from_confusion}
    return known[rule]
