"""Which of a day's frames a reviewer should see, and why each of them.

A small share is drawn without looking at any score, so that the set is not blind to what the cascade is sure of and
wrong about. The rest is hard and spread out. Near-duplicates and more than a few frames of one group are left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.mining._frontier import Frontier
from streetvision_core.mining.diversity import Spread
from streetvision_core.mining.hardness import COMPONENTS, Component, HardnessScores
from streetvision_core.settings import MiningSettings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.threads import one_thread

Reason = Literal["uncertain", "stages disagree", "detectors disagree", "exit not certified", "random probe"]
REASONS: Final[Mapping[Component, Reason]] = {
    "uncertainty": "uncertain",
    "stage_disagreement": "stages disagree",
    "detector_disagreement": "detectors disagree",
    "uncertified": "exit not certified",
}
_NOTABLE_RANK: Final = 0.9


@dataclass(frozen=True, slots=True)
class MinedItem:
    """One chosen frame: its id and row in the table, why it was chosen (main reason first), how hard it was."""

    id: str
    row: int
    group: str
    reasons: tuple[Reason, ...]
    hardness: float
    components: dict[str, float]


@dataclass(frozen=True, slots=True)
class MinedSet:
    """The frames chosen from `considered` rows, in the order they were chosen."""

    items: tuple[MinedItem, ...]
    considered: int
    near_duplicates: int
    budget: int
    seed: int

    @property
    def ids(self) -> tuple[str, ...]:
        """The chosen ids."""
        return tuple(item.id for item in self.items)

    def reason_counts(self) -> dict[str, int]:
        """How many items have each main reason."""
        return dict(Counter(item.reasons[0] for item in self.items).most_common())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MinedSet:
        """The inverse of `to_dict`."""
        items = tuple(MinedItem(**{**item, "reasons": tuple(item["reasons"])}) for item in data["items"])
        return cls(**{**data, "items": items})

    def save(self, path: Path) -> None:
        """Writes JSON by replace."""
        atomic_write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> MinedSet:
        """Reads what `save` wrote."""
        return cls.from_dict(json.loads(path.read_text()))


def select(
    table: FeatureTable,
    hardness: HardnessScores,
    budget: int,
    settings: MiningSettings,
    *,
    seed: int = 0,
    known: npt.NDArray[np.float32] | None = None,
) -> MinedSet:
    """Chooses rows of a table.

    Args:
        table: N candidate rows.
        hardness: their scores.
        budget: most rows to choose.
        settings: random share, group cap, diversity and near-duplicate cosine.
        seed: the same seed and input give the same set.
        known: float32 [M, D], features of rows chosen earlier; their near-duplicates are left out.

    Raises:
        DataError: scores and table are of different lengths, or the budget is negative.
    """
    if len(hardness) != len(table) or budget < 0:
        raise DataError(
            got=f"{len(hardness)} scores for {len(table)} rows, budget {budget}",
            allowed="one score per row and a budget of 0 or more",
            action="score the same table that is selected from",
        )
    with one_thread():
        spread = Spread(table.features, settings.near_duplicate_cosine, known, seed)
        frontier = Frontier(hardness.total, table.groups, spread, settings.group_cap, settings.diversity)
        _draw(frontier, round(budget * settings.random_share), seed, len(table))
        probes = len(frontier.chosen)
        _take_best(frontier, budget)
        frontier.settle()
    items = [_item(table, hardness, row, probe=k < probes) for k, row in enumerate(frontier.chosen)]
    return MinedSet(tuple(items), len(table), frontier.near_duplicates, budget, seed)


def _draw(frontier: Frontier, wanted: int, seed: int, rows: int) -> None:
    for row in np.random.default_rng(seed).permutation(rows).tolist():
        if len(frontier.chosen) >= wanted:
            return
        if frontier.is_open(row):
            frontier.offer(row)


def _take_best(frontier: Frontier, wanted: int) -> None:
    while len(frontier.chosen) < wanted and (row := frontier.best()) is not None:
        frontier.offer(row)


def _item(table: FeatureTable, hardness: HardnessScores, row: int, *, probe: bool) -> MinedItem:
    components: dict[str, float] = {name: round(float(hardness.ranked[name][row]), 4) for name in COMPONENTS}
    reasons = _reasons(hardness, row)
    if probe:
        reasons = ("random probe",)
    return MinedItem(table.ids[row], row, table.groups[row], reasons, round(float(hardness.total[row]), 4), components)


def _reasons(hardness: HardnessScores, row: int) -> tuple[Reason, ...]:
    """The component that adds most comes first, then the others that rank among the top tenth."""
    share = {name: hardness.weights.get(name, 0.0) * hardness.ranked[name][row] for name in COMPONENTS}
    ordered = sorted(COMPONENTS, key=lambda name: -share[name])
    notable = [n for n in ordered[1:] if hardness.ranked[n][row] >= _NOTABLE_RANK and hardness.raw[n][row] > 0]
    return tuple(REASONS[name] for name in (ordered[0], *notable))
