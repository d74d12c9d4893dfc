"""Fits everything a cascade learns on CALIBRATE.

Rows and their use:

* fusion weights: TRAIN rows with out-of-fold logits, and SELECT rows;
* bands: CALIBRATE rows of the calibrated world, of positive weight and known label;
* probabilities, t*: these, and where they hold few groups of a class, cross-fitted TRAIN and SELECT rows of that world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streetvision_core.calibration.arrays import Array, Mask
from streetvision_core.calibration.facts import CalibrationFacts
from streetvision_core.calibration.stage import FittedStage, fit_stage
from streetvision_core.calibration.threshold import raise_threshold
from streetvision_core.cascade._assemble import assemble
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.data.table import FeatureTable
from streetvision_core.data.worlds import World, world_of
from streetvision_core.errors import CalibrationError
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings
from streetvision_core.training.heads import honest_logits
from streetvision_core.training.threads import one_thread
from streetvision_core.training.weights import photo_weights
from streetvision_core.types import STAGES, Split, Stage


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """A table with what calibration needs to know of its rows.

    Attributes:
        table: N rows.
        logits: the head's, [N]; where `honest`, from heads that have not seen the row.
        honest: bool [N].
        here: rows of the world that is calibrated, bool [N].
    """

    table: FeatureTable
    logits: Array
    honest: Mask
    here: Mask

    def select(self, mask: Mask) -> _Rows:
        return _Rows(self.table.select(mask), self.logits[mask], self.honest[mask], self.here[mask])


def fit_cascade(
    table: FeatureTable,
    head: Head,
    settings: Settings,
    *,
    worlds: Sequence[World] | None = None,
    world: World = "real",
    detectors: Sequence[str] | None = None,
) -> CascadeCalibration:
    """Calibrates a cascade for one head, for one world.

    Calibrators, exit bands and the threshold rest on CALIBRATE rows of that world alone: a request does not tell
    whether it is a photograph, and a rendered row must not move the answer that a photograph gets. Fusions learn from
    both worlds' TRAIN and SELECT rows, as the head does.

    Args:
        table: features, evidence and splits; rows of weight 0 or unknown label are left out.
        head: trained on the table's TRAIN rows.
        settings: alpha, delta, the scoring rule with its prevalence, and the seed.
        worlds: the world of each row; None takes it from the origins.
        world: which of them is calibrated; a calibration of the rendered world is for reports and never serves.
        detectors: `name@version` of the detectors behind the evidence, in the profile's order; None: not known.

    Returns:
        Calibrators and bands of the stages that have evidence; the others are listed in `absent` with a reason.

    Raises:
        CalibrationError: CALIBRATE cannot even calibrate the classifier (one class, or fewer than two rows of one).
        PreprocessMismatchError: the head is of another make than the table.
    """
    with one_thread():
        logits, honest = honest_logits(table, head, settings.training, settings.seed)
        here = np.array([w == world for w in worlds or map(world_of, table.origins)], np.bool_)
        rows = _Rows(table, logits, honest, here)
        names = None if detectors is None else tuple(detectors)
        facts = CalibrationFacts(
            head.backbone, head.preprocessing, names, world, settings.scoring.prevalence, settings.scoring.rule
        )
        return _by_size(rows, settings, facts)


def _by_size(rows: _Rows, settings: Settings, facts: CalibrationFacts) -> CascadeCalibration:
    """Fits native frames and the older eras apart; both together where one has too little."""
    native = np.array([era == "native" for era in rows.table.eras], np.bool_)
    parts: list[CascadeCalibration | None] = []
    for mask in (native, ~native):
        try:
            parts.append(_fit_rows(rows.select(mask), settings, facts))
        except CalibrationError:
            parts.append(None)
    whole, small = parts
    return replace(_for_new_cameras(whole or _fit_rows(rows, settings, facts), settings, facts), small=small)


def _for_new_cameras(made: CascadeCalibration, settings: Settings, facts: CalibrationFacts) -> CascadeCalibration:
    """Raises the threshold of whole photographs, because most callers' cameras are none of CALIBRATE's.

    Streets of a camera that nobody trained on look more like road work than those of a known one: answered by what
    learned from the other cameras, photographs without road work score higher, and the best threshold of CALIBRATE
    calls half of them road work. `scoring.new_camera_logits` is how far the best threshold moves between the two,
    measured by leaving each camera family out (tests/perf/bench_new_cameras.py). The older eras moved by nothing.
    """
    if facts.world != "real":
        return made
    return replace(made, threshold=raise_threshold(made.threshold, settings.scoring.new_camera_logits))


def _fit_rows(rows: _Rows, settings: Settings, facts: CalibrationFacts) -> CascadeCalibration:
    table = rows.table
    usable = (table.labels >= 0) & (table.weights > 0)
    calibrate = usable & rows.here & table.in_split(Split.CALIBRATE)
    fusion = usable & rows.honest & (table.in_split(Split.TRAIN) | table.in_split(Split.SELECT))
    weights = photo_weights(table.ids, table.weights)
    fitted: dict[Stage, FittedStage] = {}
    absent: dict[Stage, str] = {}
    for stage in STAGES:
        try:
            fitted[stage] = fit_stage(
                stage, rows.logits, table.evidence, table.labels, table.groups, fusion, calibrate,
                may_join=rows.here, weights=weights, origins=table.origins, seed=settings.seed,
            )  # fmt: skip
        except CalibrationError as error:
            if stage == "classifier":
                raise
            absent[stage] = error.got
    return assemble(table, fitted, absent, calibrate, settings, facts)
