"""Watches the day's queries, answers and errors for drift."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.loop.report.watch import Drift, DriftRow
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MinedDay
from streetvision_core.loop.tasks.tables import base_table
from streetvision_core.mining.drift import KINDS, DriftState, Kind, input_distance, one_of_each
from streetvision_core.types import Split

STATE_FILE: Final = "drift.json"
REFERENCE_ROWS: Final = 2000
RANDOM_PROBE: Final = "random probe"


def watch_drift(day: Day, mined: MinedDay) -> Drift:
    """Bets the day's frames against "nothing has changed"; the state goes to `drift.json` and `data/drift.json`.

    The day goes on from the latest earlier day of the same version, so that a repeated run counts once. Errors are
    watched on rows that were drawn blindly: the hardest rows of a day are no sample of it.
    """
    version = mined.rows[0].verdict.model_version if mined.rows else "none"
    state = _earlier(day, version)
    scores = _scores(day, mined)
    after = state.watch(day.date.isoformat(), scores)
    after.save(day.folder / STATE_FILE)
    after.save(day.workspace.data / STATE_FILE)
    rows = tuple(
        DriftRow(
            kind=kind,
            watched=len(after.watches[kind].scores),
            evidence=float(f"{after.watches[kind].evidence:.4g}"),
            peak=float(f"{after.watches[kind].peak:.4g}"),
            threshold=round(after.threshold, 1),
            alarm_day=after.watches[kind].alarm_day,
            today=_words(scores.get(kind), state.watches[kind].scores),
        )
        for kind in KINDS
    )
    return Drift(rows, after.alpha, after.since, version)


def _scores(day: Day, mined: MinedDay) -> dict[Kind, npt.NDArray[np.float64]]:
    table = mined.table
    rows = one_of_each(table.groups, day.number)
    reference = base_table(day)
    taught = np.flatnonzero(reference.in_split(Split.TRAIN))[:REFERENCE_ROWS]
    probes = [i for i, item in enumerate(mined.chosen.items) if RANDOM_PROBE in item.reasons]
    known = [i for i in probes if mined.labels[i] is not None]
    known = [known[i] for i in one_of_each([mined.rows[i].group for i in known], day.number)]
    errors = [float(mined.labels[i] or 0) - mined.rows[i].verdict.p_roadwork for i in known]
    return {
        "input": input_distance(table.features[rows], reference.features[taught]),
        "prediction": mined.answers[rows],
        "calibration": np.array(errors, np.float64),
    }


def _earlier(day: Day, version: str) -> DriftState:
    """The latest earlier day's state; a new one where another version served or nothing was watched."""
    folders = sorted((day.workspace.data / "days").glob("????-??-??"), reverse=True)
    paths = [f / STATE_FILE for f in folders if f.name < day.date.isoformat()]
    latest: Path | None = next((path for path in paths if path.exists()), None)
    if latest is not None and (state := DriftState.load(latest)).version == version:
        return state
    return DriftState.start(version, day.date.isoformat())


def _words(today: npt.NDArray[np.float64] | None, before: tuple[float, ...]) -> str:
    if today is None or not len(today):
        return "no frame today"
    if not before:
        return f"median {np.median(today):.3f} over {len(today)} frames; the first day"
    above = float((today[:, None] > np.array(before)[None, :]).mean())
    return (
        f"median {np.median(today):.3f}, before {np.median(before):.3f}; above an earlier frame in {above:.0%} of pairs"
    )
