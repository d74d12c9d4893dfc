"""The registry of pay rules.

Example:
    >>> rule = get_rule("sn72")
    >>> round(rule.score([0.9, 0.8, 0.1, 0.6], [1, 1, 0, 0]), 3)
    0.292
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import SettingsError
from streetvision_core.scoring._arrays import Doubles
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.sn34 import SN34Rule
from streetvision_core.scoring.sn72 import SN72Rule


@runtime_checkable
class ScoringRule(Protocol):
    """What pays for answers. Scores lie in [0, 1], higher is better."""

    @property
    def name(self) -> str:
        """`sn72`, `sn34`."""

    @property
    def threshold(self) -> float:
        """The probability at which the paid decision flips."""

    def score(self, p: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The score of one set as it stands, [N] and [N]; independent of row order."""

    def score_many(self, p: npt.ArrayLike, y: npt.ArrayLike) -> Doubles:
        """`score` of many sets at once, [S, N] -> [S]."""

    def from_confusion(self, table: Confusion, brier: npt.ArrayLike = np.nan) -> Doubles:
        """The score from counts of decisions, and the Brier score where the rule uses it."""

    def expected(
        self, p: npt.ArrayLike, y: npt.ArrayLike, *, streams: int = 200, steps: int = 400, seed: int = 0
    ) -> float:
        """The mean pay in the long run, by simulation of the rule's own sampling and windows."""


RULES: Final[Mapping[str, ScoringRule]] = MappingProxyType({rule.name: rule for rule in (SN72Rule(), SN34Rule())})


def get_rule(name: str) -> ScoringRule:
    """Looks a rule up by name.

    Raises:
        SettingsError: no such rule.
    """
    try:
        return RULES[name]
    except KeyError:
        raise SettingsError(f"scoring rule {name!r}", ", ".join(RULES), "choose one of them", rule=name) from None
