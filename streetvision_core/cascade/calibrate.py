"""Fits everything a cascade learns on CALIBRATE.

Rows and their use:

* fusion weights: TRAIN rows with out-of-fold logits, and SELECT rows;
* bands: CALIBRATE rows of positive weight and known label;
* probabilities, t*: these, and cross-fitted TRAIN and SELECT rows of origins that CALIBRATE holds few groups of.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Mask
from streetvision_core.calibration.columns import has_run
from streetvision_core.calibration.exits import ExitBand
from streetvision_core.calibration.stage import FittedStage, StageCalibrator, fit_stage
from streetvision_core.calibration.threshold import best_threshold
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.certify import certify_stages, exits_of
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import CalibrationError
from streetvision_core.models.head import Head
from streetvision_core.scoring.rules import get_rule
from streetvision_core.settings import Settings
from streetvision_core.training.heads import honest_logits
from streetvision_core.training.threads import one_thread
from streetvision_core.training.weights import photo_weights
from streetvision_core.types import STAGES, FloatArray, Split, Stage

BANDED: Final[tuple[Stage, ...]] = ("classifier", "detectors", "vlm")
"""The last stage ends the cascade anyway; a band there would only spend delta."""
DEFAULT_RULE: Final = "sn72"


def fit_cascade(table: FeatureTable, head: Head, settings: Settings, rule: str = DEFAULT_RULE) -> CascadeCalibration:
    """Calibrates a cascade for one head.

    Args:
        table: features, evidence and splits; rows of weight 0 or unknown label are left out.
        head: trained on the table's TRAIN rows.
        settings: alpha, delta and the seed.
        rule: the pay rule whose best threshold becomes 0.5.

    Returns:
        Calibrators and bands of the stages that have evidence; the others are listed in `absent` with a reason.

    Raises:
        CalibrationError: CALIBRATE cannot even calibrate the classifier (one class, or fewer than two rows of one).
        PreprocessMismatchError: the head is of another make than the table.
    """
    with one_thread():
        return _fit_cascade(table, head, settings, rule)


def _fit_cascade(table: FeatureTable, head: Head, settings: Settings, rule: str) -> CascadeCalibration:
    """Fits native frames and the older eras apart; both together where one has too little."""
    logits, honest = honest_logits(table, head, settings.training, settings.seed)
    native = np.array([era == "native" for era in table.eras], np.bool_)
    parts: list[CascadeCalibration | None] = []
    for mask in (native, ~native):
        try:
            parts.append(_fit_rows(table.select(mask), logits[mask], honest[mask], head, settings, rule))
        except CalibrationError:
            parts.append(None)
    whole, small = parts
    return replace(whole or _fit_rows(table, logits, honest, head, settings, rule), small=small)


def _fit_rows(
    table: FeatureTable, logits: Array, honest: Mask, head: Head, settings: Settings, rule: str
) -> CascadeCalibration:
    usable = (table.labels >= 0) & (table.weights > 0)
    calibrate = usable & table.in_split(Split.CALIBRATE)
    fusion = usable & honest & (table.in_split(Split.TRAIN) | table.in_split(Split.SELECT))
    weights = photo_weights(table.ids, table.weights)
    fitted: dict[Stage, FittedStage] = {}
    absent: dict[Stage, str] = {}
    for stage in STAGES:
        try:
            fitted[stage] = fit_stage(
                stage, logits, table.evidence, table.labels, table.groups, fusion, calibrate,
                weights=weights, origins=table.origins, seed=settings.seed,
            )  # fmt: skip
        except CalibrationError as error:
            if stage == "classifier":
                raise
            absent[stage] = error.got
    calibrators: dict[Stage, StageCalibrator] = {stage: one.calibrator for stage, one in fitted.items()}
    bands = _bands(table, fitted, calibrate, settings)
    rows, p = _cross_fitted(fitted, bands, table.evidence)
    groups = [table.groups[i] for i in rows]
    threshold = best_threshold(p, table.labels[rows], get_rule(rule), groups, balanced=True, seed=settings.seed)
    prior = float(np.average(table.labels[calibrate], weights=weights[calibrate]))
    notes = _notes(fitted, table, calibrate)
    return CascadeCalibration(
        calibrators, bands, absent, threshold, prior, rule, head.backbone, head.preprocessing, notes
    )


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


def _notes(fitted: dict[Stage, FittedStage], table: FeatureTable, calibrate: Mask) -> dict[str, Any]:
    origins = [table.origins[i] for i in np.flatnonzero(calibrate)]
    groups = {table.groups[i] for i in np.flatnonzero(calibrate)}
    return {
        "rows": int(calibrate.sum()),
        "groups": len(groups),
        "rows_by_origin": {origin: origins.count(origin) for origin in sorted(set(origins))},
        "stages": {stage: {**one.choice.to_dict(), "fusion": one.note} for stage, one in fitted.items()},
    }
