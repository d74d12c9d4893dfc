"""Watches queries, answers and errors for drift; the state is a value that goes from night to night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.watch import Drift, DriftRow
from streetvision_core.mining.drift import KINDS, DriftState, Kind, input_distance, one_of_each
from streetvision_core.types import Split

REFERENCE_ROWS = 2000
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


def _words(today: npt.NDArray[np.float64] | None, before: tuple[float, ...]) -> str:
    if today is None or not len(today):
        return "no frame today"
    if not before:
        return f"median {np.median(today):.3f} over {len(today)} frames; the first day"
    above = float((today[:, None] > np.array(before)[None, :]).mean())
    return (
        f"median {np.median(today):.3f}, before {np.median(before):.3f}; above an earlier frame in {above:.0%} of pairs"
    )
