"""Evaluates a cascade: from verdicts on images, or from a feature table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Mask
from streetvision_core.calibration.columns import has_run
from streetvision_core.cascade import _measure
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import predict_table
from streetvision_core.cascade.policy import EveryStagePolicy, Policy
from streetvision_core.cascade.report import CascadeReport
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.models.head import Head
from streetvision_core.scoring.metrics import mcc
from streetvision_core.types import STAGES, Stage, Verdict

RESAMPLES: Final = 400


def evaluate(
    decisions: Decisions,
    labels: npt.ArrayLike,
    groups: Sequence[str],
    origins: Sequence[str],
    eras: Sequence[str],
    *,
    stage_seconds: Array | None = None,
    can_run: Mask | None = None,
    absent: Mapping[Stage, str] | None = None,
    every_stage_mcc: float = math.nan,
    resamples: int = RESAMPLES,
) -> CascadeReport:
    """Evaluates decisions against labels; rows of unknown label are left out.

    Args:
        decisions: answers for N rows.
        labels: 1 road work, 0 none, -1 unknown, [N].
        groups: what is resampled for the intervals.
        origins: data set of each row.
        eras: image regime of each row.
        stage_seconds: time of each stage on each row, [N, 4] in the order of `STAGES`, NaN where it did not run.
        can_run: stages that could have run, [N, 4]; all that ran anywhere if left out.
        absent: stages that were not there, and why.
        every_stage_mcc: MCC of running every stage on every frame, if it was measured.
        resamples: bootstrap samples.

    Raises:
        DataError: no labelled row, or lengths that differ.
    """
    y = np.asarray(labels).astype(np.int64)
    rows = np.flatnonzero(y >= 0)
    if not len(y) == len(decisions) == len(groups) == len(origins) == len(eras) or not len(rows):
        raise DataError(
            got=f"{len(decisions)} decisions, {len(y)} labels of which {len(rows)} are known",
            allowed="one label, group, origin and era per decision, and at least one known label",
            action="label frames of this set, or choose another set",
        )
    decisions, y = decisions.select(rows), y[rows]
    names, places, regimes = (np.array(values, dtype=str)[rows] for values in (groups, origins, eras))
    seconds = stage_seconds[rows] if stage_seconds is not None else None
    possible = can_run[rows] if can_run is not None else np.broadcast_to(decisions.ran.any(axis=0), decisions.ran.shape)

    def one(name: str, mask: Mask, *, full: bool = False) -> Any:
        part = np.flatnonzero(mask)
        return _measure.measure_slice(name, decisions.select(part), y[part], names[part].tolist(), resamples, full=full)

    return CascadeReport(
        policy=decisions.policy,
        overall=one("all", np.ones(len(y), bool), full=True),
        by_origin=tuple(one(str(origin), places == origin) for origin in np.unique(places)),
        by_era=tuple(one(str(era), regimes == era) for era in np.unique(regimes)),
        stages=_measure.measure_stages(decisions, y, seconds),
        absent=dict(absent or {}),
        cost=_measure.measure_cost(decisions.ran, possible, seconds, every_stage_mcc),
        curves=_measure.measure_curves(decisions, y),
    )


def evaluate_verdicts(
    verdicts: Sequence[Verdict],
    labels: npt.ArrayLike,
    groups: Sequence[str],
    origins: Sequence[str],
    eras: Sequence[str],
    *,
    threshold: npt.ArrayLike = 0.5,
    absent: Mapping[Stage, str] | None = None,
    resamples: int = RESAMPLES,
) -> CascadeReport:
    """Evaluates verdicts; times come from their evidence.

    Args:
        verdicts: of one policy.
        labels: see `evaluate`.
        groups: see `evaluate`.
        origins: see `evaluate`.
        eras: see `evaluate`.
        threshold: t* of the calibration behind the verdicts, one or one per verdict.
        absent: `Cascade.stages.absent`.
        resamples: see `evaluate`.
    """
    seconds = np.full((len(verdicts), len(STAGES)), np.nan)
    for i, verdict in enumerate(verdicts):
        for evidence in verdict.evidence:
            seconds[i, STAGES.index(evidence.stage)] = evidence.seconds
    decisions = Decisions.of_verdicts(verdicts, threshold)
    return evaluate(decisions, labels, groups, origins, eras, stage_seconds=seconds, absent=absent, resamples=resamples)


def evaluate_table(
    table: FeatureTable,
    head: Head,
    calibration: CascadeCalibration,
    policy: Policy | str,
    *,
    stage_seconds: Mapping[Stage, float] | None = None,
    resamples: int = RESAMPLES,
) -> CascadeReport:
    """Evaluates on a table's labelled rows, and against running every stage on every one of them.

    Args:
        table: the rows, e.g. those of TEST.
        head: stage 1's head.
        calibration: for this head.
        policy: a policy or its name.
        stage_seconds: mean seconds of each stage on one frame, if measured.
        resamples: bootstrap samples.
    """
    decisions = predict_table(table, head, calibration, policy)
    every = predict_table(table, head, calibration, EveryStagePolicy())
    known = table.labels >= 0
    reference = mcc(every.p[known], table.labels[known]) if known.any() else math.nan
    can_run = np.stack([has_run(stage, table.evidence) for stage in STAGES], axis=1)
    seconds = None
    if stage_seconds is not None:
        per_stage = np.array([stage_seconds.get(stage, np.nan) for stage in STAGES])
        seconds = np.where(decisions.ran | every.ran, per_stage, np.nan)
    return evaluate(
        decisions,
        table.labels,
        table.groups,
        table.origins,
        table.eras,
        stage_seconds=seconds,
        can_run=can_run,
        absent=calibration.absent,
        every_stage_mcc=reference,
        resamples=resamples,
    )
