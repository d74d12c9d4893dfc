"""The same head and fusions, calibrated on other photographs: what a user's own camera needs.

What the head and the fusions have learned stays; how their scores become probabilities, exits and a threshold comes
from the new rows alone. So a few dozen photographs of one's own are enough to ask, and none of what trained the version
is needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from streetvision_core.calibration.arrays import Array, Mask
from streetvision_core.calibration.columns import has_run
from streetvision_core.calibration.facts import CalibrationFacts
from streetvision_core.calibration.probability import best_calibrator
from streetvision_core.calibration.stage import FittedStage, StageCalibrator
from streetvision_core.cascade._assemble import assemble
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import CalibrationError
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings
from streetvision_core.training.threads import one_thread
from streetvision_core.training.weights import photo_weights
from streetvision_core.types import Stage

LEAST_GROUPS: Final = 5
"""Independent groups of each class below which a calibration would mean nothing."""


def recalibrate(
    calibration: CascadeCalibration, head: Head, table: FeatureTable, settings: Settings
) -> CascadeCalibration:
    """Calibrates a version on photographs that taught it nothing.

    Args:
        calibration: the version's, whose fusions are kept.
        head: the version's.
        table: labelled photographs with evidence of the detectors the version was made with; all of them calibrate.
        settings: alpha, delta, the scoring rule with its prevalence, and the seed.

    Returns:
        A calibration of the frame sizes that the rows hold enough of; the other sizes keep theirs.

    Raises:
        CalibrationError: neither size holds `LEAST_GROUPS` groups of both classes.
        PreprocessMismatchError: table, head and calibration are not of one make.
    """
    head.check(table.backbone, table.preprocessing)
    calibration.check(head.backbone, head.preprocessing)
    logits = head.predict_logit(table.features)
    native = np.array([era == "native" for era in table.eras], np.bool_)
    usable = (table.labels >= 0) & (table.weights > 0)
    enough = {size: _enough(table, usable & mask) for size, mask in ((True, native), (False, ~native))}
    if not any(enough.values()):
        raise _too_few(table, usable)
    with one_thread():
        parts = {
            size: _recalibrate(part, table, logits, usable & (native == size), settings) if enough[size] else part
            for size, part in ((True, calibration), (False, calibration.small))
            if part is not None
        }
    return replace(parts[True], small=parts.get(False))


def groups_by_class(table: FeatureTable, rows: Mask) -> dict[int, int]:
    """How many independent groups show road work (1), and how many show none (0)."""
    chosen = np.flatnonzero(rows)
    return {c: len({table.groups[i] for i in chosen if table.labels[i] == c}) for c in (0, 1)}


def _enough(table: FeatureTable, rows: Mask) -> bool:
    return min(groups_by_class(table, rows).values()) >= LEAST_GROUPS


def _too_few(table: FeatureTable, rows: Mask) -> CalibrationError:
    groups = groups_by_class(table, rows)
    return CalibrationError(
        got=f"photographs of {groups[1]} independent groups with road work and {groups[0]} without",
        allowed=f"at least {LEAST_GROUPS} of each, all frames of one size; fewer say nothing about a threshold",
        action="label more photographs; frames of one drive or place are one group",
        groups=groups,
    )


def _recalibrate(
    part: CascadeCalibration, table: FeatureTable, logits: Array, calibrate: Mask, settings: Settings
) -> CascadeCalibration:
    fitted: dict[Stage, FittedStage] = {}
    absent = dict(part.absent)
    for stage, calibrator in part.stages.items():
        try:
            fitted[stage] = _refit(stage, calibrator, table, logits, calibrate, settings.seed)
        except CalibrationError as error:
            if stage == "classifier":
                raise
            absent[stage] = f"on these photographs: {error.got}"
    made, scoring = part.made_with, settings.scoring
    facts = CalibrationFacts(
        made.backbone, made.preprocessing, made.detectors, "real", scoring.prevalence, scoring.rule
    )
    return replace(assemble(table, fitted, absent, calibrate, settings, facts), small=None)


def _refit(
    stage: Stage, calibrator: StageCalibrator, table: FeatureTable, logits: Array, calibrate: Mask, seed: int
) -> FittedStage:
    ran = has_run(stage, table.evidence)
    if stage == "ocr":
        ran |= has_run("detectors", table.evidence)
    rows = np.flatnonzero(calibrate & ran)
    scores = calibrator.score(logits[rows], table.evidence[rows])
    weights = photo_weights(table.ids, table.weights)[rows]
    groups = [table.groups[i] for i in rows]
    choice = best_calibrator(scores, table.labels[rows], groups, weights=weights, seed=seed)
    fresh = replace(calibrator, calibrator=choice.calibrator)
    return FittedStage(fresh, choice, rows, np.ones(len(rows), bool), scores, choice.out_of_fold, "fusion kept")
