"""From fitted stages to a whole calibration: exit bands, threshold, and the record of what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Mask
from streetvision_core.calibration.columns import has_run
from streetvision_core.calibration.exits import ExitBand
from streetvision_core.calibration.facts import CalibrationFacts, shares
from streetvision_core.calibration.stage import FittedStage
from streetvision_core.calibration.threshold import best_threshold
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.certify import certify_stages, exits_of
from streetvision_core.data.table import FeatureTable
from streetvision_core.scoring.objectives import objective
from streetvision_core.settings import ScoringSettings, Settings
from streetvision_core.training.weights import photo_weights
from streetvision_core.types import FloatArray, Stage

BANDED: Final[tuple[Stage, ...]] = ("classifier", "detectors", "vlm")
"""The last stage ends the cascade anyway; a band there would only spend delta."""


def assemble(
    table: FeatureTable,
    fitted: dict[Stage, FittedStage],
    absent: Mapping[Stage, str],
    calibrate: Mask,
    settings: Settings,
    facts: CalibrationFacts,
) -> CascadeCalibration:
    """Certifies the bands, finds the threshold and puts everything together.

    Args:
        table: N rows.
        fitted: stages with a calibrator; their row numbers are of the table.
        absent: the other stages, and why.
        calibrate: rows that calibrated, [N].
        settings: alpha, delta, scoring and the seed.
        facts: what it was made with; its origins are counted here.
    """
    bands = _bands(table, fitted, calibrate, settings)
    counted = np.flatnonzero(calibrate)
    weights = photo_weights(table.ids, table.weights)[calibrate]
    return CascadeCalibration(
        stages={stage: one.calibrator for stage, one in fitted.items()},
        bands=bands,
        absent=absent,
        threshold=_threshold(table, fitted, bands, settings.scoring, settings.seed),
        prior=float(np.average(table.labels[calibrate], weights=weights)),
        made_with=replace(
            facts, origins=shares([table.origins[i] for i in counted], [table.groups[i] for i in counted])
        ),
        notes={"stages": {stage: {**one.choice.to_dict(), "fusion": one.note} for stage, one in fitted.items()}},
    )


def _threshold(
    table: FeatureTable,
    fitted: dict[Stage, FittedStage],
    bands: dict[Stage, ExitBand],
    scoring: ScoringSettings,
    seed: int,
) -> float:
    rows, p = _cross_fitted(fitted, bands, table.evidence)
    goal = objective(scoring.rule, scoring.miss_cost)
    groups = [table.groups[i] for i in rows]
    return best_threshold(p, goal, groups, prevalence=scoring.prevalence, seed=seed)


def _bands(
    table: FeatureTable, fitted: dict[Stage, FittedStage], calibrate: Mask, settings: Settings
) -> dict[Stage, ExitBand]:
    rows = np.flatnonzero(calibrate)
    scores: dict[Stage, Array] = {}
    for stage in BANDED:
        if stage in fitted:
            everywhere = np.full(len(table), np.nan)
            one = fitted[stage]
            everywhere[one.rows[one.judges]] = one.scores[one.judges]
            scores[stage] = everywhere[rows]
    return certify_stages(
        scores,
        table.labels[rows],
        [table.groups[i] for i in rows],
        settings.cascade.alpha,
        settings.cascade.delta,
        origins=[table.origins[i] for i in rows],
        seed=settings.seed,
    )


def _cross_fitted(
    fitted: dict[Stage, FittedStage], bands: dict[Stage, ExitBand], evidence: FloatArray
) -> tuple[npt.NDArray[np.int64], Array]:
    """For each row that calibrates the cross-fitted probability of the stage at which it would end."""
    p: dict[int, float] = {}
    ended: set[int] = set()
    for stage, one in fitted.items():
        exits = exits_of(bands[stage], one.scores) if stage in bands else np.zeros(len(one.rows), bool)
        runs = has_run(stage, evidence[one.rows])
        for row, probability, leaves, ran in zip(one.rows.tolist(), one.out_of_fold.tolist(), exits, runs, strict=True):
            if ran and row not in ended:
                p[row] = probability
                ended |= {row} if leaves else set()
    rows = np.array(sorted(p), np.int64)
    return rows, np.array([p[row] for row in rows.tolist()])
