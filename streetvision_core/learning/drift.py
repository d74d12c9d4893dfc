"""Watches queries, answers and errors for drift; the state is a value that goes from night to night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.mine import Mined
from streetvision_core.learning.sources import RANDOM_PROBE
from streetvision_core.learning.watch import Drift, DriftRow
from streetvision_core.mining.drift import KINDS, DriftState, Kind, input_distance, one_of_each
from streetvision_core.types import Split

REFERENCE_ROWS: Final = 2000
STATE_FILE: Final = "drift.json"
Scores = Mapping[Kind, npt.NDArray[np.float64]]


def drift_scores(
    features: npt.NDArray[np.float32],
    answers: npt.NDArray[np.float64],
    groups: Sequence[str],
    reference: Dataset,
    drawn: Sequence[tuple[str, int, float]],
    seed: int,
) -> dict[Kind, npt.NDArray[np.float64]]:
    """One score per group of a night: how far from what was learned from, what was answered, how wrong.

    Args:
        features: float32 [N, D] of the night's queries.
        answers: float64 [N], P(road work) as served.
        groups: one per query; a group has one vote.
        reference: what is compared with; its TRAIN rows.
        drawn: group, label and answer of the queries that were drawn blindly and have a label: the hardest rows of a
            night are no sample of it.
        seed: draws the row of each group.
    """
    rows = one_of_each(groups, seed)
    taught = np.flatnonzero(reference.table.in_split(Split.TRAIN))[:REFERENCE_ROWS]
    known = [drawn[i] for i in one_of_each([group for group, *_ in drawn], seed)]
    return {
        "input": input_distance(features[rows], reference.table.features[taught]),
        "prediction": answers[rows],
        "calibration": np.array([label - answer for _, label, answer in known], np.float64),
    }


def watch_drift(before: DriftState, night: str, scores: Scores) -> tuple[DriftState, Drift]:
    """Bets a night's scores against "nothing has changed".

    Args:
        before: the state after the latest earlier night of the same version, so that a repeated night counts once.
        night: its name.
        scores: from `drift_scores`.

    Returns:
        The state afterwards (`DriftState.save` keeps it), and what a report says of it.
    """
    after = before.watch(night, dict(scores))
    rows = tuple(
        DriftRow(
            kind=kind,
            watched=len(after.watches[kind].scores),
            evidence=float(f"{after.watches[kind].evidence:.4g}"),
            peak=float(f"{after.watches[kind].peak:.4g}"),
            threshold=round(after.threshold, 1),
            alarm_day=after.watches[kind].alarm_day,
            today=_words(scores.get(kind), before.watches[kind].scores),
        )
        for kind in KINDS
    )
    return after, Drift(rows, after.alpha, after.since, after.version)


def drawn_blindly(mined: Mined) -> list[tuple[str, int, float]]:
    """Group, label and answer of the mined queries that the random probe drew and that have a label."""
    return [
        (row.group, label, row.verdict.p_roadwork)
        for row, item, label in zip(mined.rows, mined.chosen.items, mined.labels, strict=True)
        if RANDOM_PROBE in item.reasons and label is not None
    ]


def load_drift(data: Path, night: str, version: str) -> DriftState:
    """The state after the latest earlier night of the same version; a new one where there is none.

    Args:
        data: the workspace's data folder.
        night: this night's name.
        version: what has answered this night's queries.
    """
    earlier = sorted(path for path in (data / "days").glob(f"*/{STATE_FILE}") if path.parent.name < night)
    if earlier and (state := DriftState.load(earlier[-1])).version == version:
        return state
    return DriftState.start(version, night)


def save_drift(state: DriftState, data: Path, night: str) -> None:
    """Keeps the state: of this night, and as the newest, which the server reads."""
    state.save(data / "days" / night / STATE_FILE)
    state.save(data / STATE_FILE)


def _words(today: npt.NDArray[np.float64] | None, before: tuple[float, ...]) -> str:
    if today is None or not len(today):
        return "no frame this night"
    if not before:
        return f"median {np.median(today):.3f} over {len(today)} frames; the first night"
    above = float((today[:, None] > np.array(before)[None, :]).mean())
    return (
        f"median {np.median(today):.3f}, before {np.median(before):.3f}; above an earlier frame in {above:.0%} of pairs"
    )
