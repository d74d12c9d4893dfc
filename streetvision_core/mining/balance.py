"""What of the stream goes into the next training set, so that it teaches without drowning the base data.

Frames the champion got wrong (hard negatives and missed road work) count more and come first; no day and no group gives
more than its cap; challenge images weigh as little as they do in the starter pack; and all of the stream together
carries at most a share of the training weight, however many days there are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable, era_weight
from streetvision_core.settings import BalanceSettings
from streetvision_core.types import Split

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Balanced:
    """The stream's rows for the next training.

    Attributes:
        table: the kept rows, weights scaled; None where the stream has none.
        rows: their numbers in all days under each other, int64 [K].
        capped: rows that a cap left out.
        share: share of the TRAIN weight that the stream has afterwards, in [0, 1].
    """

    table: FeatureTable | None
    rows: npt.NDArray[np.int64]
    capped: int
    share: float


def hard_weights(labels: npt.NDArray[np.int8], p: Doubles, boost: float) -> npt.NDArray[np.float32]:
    """Weight of each mined row: `boost` where the answer was wrong, 1 elsewhere.

    Args:
        labels: int8 [N], 1 road work, 0 none.
        p: float64 [N], what the champion answered.
        boost: at least 1.

    Example:
        >>> hard_weights(np.array([0, 0, 1], np.int8), np.array([0.9, 0.2, 0.8]), 2.0).tolist()
        [2.0, 1.0, 1.0]
    """
    wrong = (p > 0.5) != (labels == 1)
    return np.where(wrong, boost, 1.0).astype(np.float32)


def balance_stream(base: FeatureTable, days: Sequence[FeatureTable], settings: BalanceSettings) -> Balanced:
    """Caps and weighs the stream's rows.

    Args:
        base: the photos and what belongs to them, with splits.
        days: what each day added, oldest first, with splits; of a group that is full the newest rows stay.
        settings: caps and the largest share.
    """
    chosen: list[npt.NDArray[np.int64]] = []
    total = left = sum(len(table) for table in days)
    taken = Counter[str]()
    for table in reversed(days):
        left -= len(table)
        chosen.append(left + _within_caps(table, settings, taken))
    rows = np.concatenate([np.zeros(0, np.int64), *chosen[::-1]])
    capped = total - len(rows)
    if not len(rows):
        return Balanced(None, rows, capped, 0.0)
    stream = FeatureTable.concat(days).select(rows)
    weights = stream.weights * np.array([era_weight(era) for era in stream.eras], np.float64)
    for split in (Split.TRAIN, Split.SELECT):
        mine, theirs = stream.in_split(split), base.in_split(split)
        ours, others = float(weights[mine].sum()), _photo_weight(base, theirs)
        allowed = others * settings.stream_share / (1.0 - settings.stream_share)
        if ours > allowed > 0:
            weights[mine] *= allowed / ours
    mine = stream.in_split(Split.TRAIN)
    ours, others = float(weights[mine].sum()), _photo_weight(base, base.in_split(Split.TRAIN))
    share = ours / (ours + others) if ours + others else 0.0
    return Balanced(replace(stream, weights=weights.astype(np.float32)), rows, capped, share)


def _photo_weight(base: FeatureTable, mask: npt.NDArray[np.bool_]) -> float:
    """Weight of base rows where the variants of one photo share one vote, as in training."""
    from streetvision_core.training.weights import photo_weights

    return float(photo_weights(base.ids, base.weights)[mask].sum())


def _within_caps(table: FeatureTable, settings: BalanceSettings, taken: Counter[str]) -> npt.NDArray[np.int64]:
    """Row numbers within the day's and the groups' caps, in order; `taken` counts rows per group over all days."""
    chosen: list[int] = []
    for row in _preference(table):
        if len(chosen) == settings.day_cap:
            break
        group = table.groups[row]
        if taken[group] < settings.group_cap:
            taken[group] += 1
            chosen.append(row)
    return np.sort(np.array(chosen, np.int64))


def _preference(table: FeatureTable) -> list[int]:
    """Heaviest rows first; among equals both labels in turn, so that a cap does not cut one class off."""
    by_kind: dict[tuple[float, int], list[int]] = defaultdict(list)
    for row, (weight, label) in enumerate(zip(table.weights.tolist(), table.labels.tolist(), strict=True)):
        by_kind[-weight, label].append(row)
    turns = [
        (weight, turn, label, row)
        for (weight, label), rows in by_kind.items()
        for turn, row in enumerate(rows)
    ]  # fmt: skip
    return [row for *_, row in sorted(turns)]
