"""Exit policies: evidence in, decision out. A registry of two: `certified`, and the original plan's fixed rules.

A policy sees rows as arrays: the head's logits and the evidence known after a stage. The engine and the table path hand
it the same arrays, so that both decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Mask, sigmoid
from streetvision_core.calibration.threshold import remap
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.errors import SettingsError
from streetvision_core.models.evidence import DETECTOR_NAMES, EVIDENCE_NAMES
from streetvision_core.types import DEVICE_CLASSES, FloatArray, Stage

_AWAY: Final = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Ruling:
    """What a policy says about rows after one stage.

    Attributes:
        exits: which rows end here, [N].
        p: probability of road work, never 0.5, [N]; the answer of a row that ends here, or runs out of stages here.
        calibrated: the same before the paid threshold was moved to 0.5, [N].
        certified: which exits lie in a certified band, [N].
    """

    exits: Mask
    p: Array
    calibrated: Array
    certified: Mask


class Policy(Protocol):
    """Decides after each stage."""

    @property
    def name(self) -> str:
        """Its name in the registry, in verdicts and in settings."""

    def wants(self, stage: Stage, calibration: CascadeCalibration) -> bool:
        """Whether the stage can change a decision; if not, it is not run."""

    def rule(self, stage: Stage, logits: FloatArray, evidence: FloatArray, calibration: CascadeCalibration) -> Ruling:
        """Decides on rows whose latest evidence is the stage's.

        Args:
            stage: the stage that ran last on all of these rows.
            logits: the head's, [N].
            evidence: [N, E], NaN where nothing ran.
            calibration: what was learned on CALIBRATE.
        """


@dataclass(frozen=True, slots=True)
class CertifiedPolicy:
    """Exits where a certified band allows it; otherwise the calibrated probability of the last stage."""

    name: str = "certified"

    def wants(self, stage: Stage, calibration: CascadeCalibration) -> bool:
        """A stage without a calibrator cannot speak."""
        return stage in calibration.stages

    def rule(self, stage: Stage, logits: FloatArray, evidence: FloatArray, calibration: CascadeCalibration) -> Ruling:
        """See `Policy.rule`."""
        calibrator, band = calibration.latest(stage), calibration.bands.get(stage)
        scores = calibrator.score(logits, evidence)
        calibrated = calibrator.calibrator.predict(scores)
        p = remap(calibrated, calibration.threshold)
        nobody = np.zeros(len(p), bool)
        low = band.exits_low(sigmoid(scores)) if band else nobody
        high = band.exits_high(sigmoid(scores)) if band else nobody
        # The certificate is for the side, so an exit answers with its side whatever the paid threshold is.
        p = np.where(low, np.minimum(p, 0.5 - _AWAY), np.where(high, np.maximum(p, 0.5 + _AWAY), p))
        return Ruling(low | high, p, calibrated, low | high)


PLAN_CONFIDENT: Final = 0.88
PLAN_BOXES: Final = 3
PLAN_DETECTORS_ACCURACY: Final = 0.97
"""The plan names no probability for stage 2, only "accuracy on exits: 97 %+"."""
PLAN_VLM: Final = 0.75
PLAN_OCR: Final = (0.40, 0.70, 0.85)
"""No keyword: negative at 0.60; one: 0.70; two and more: 0.85."""


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """The original plan's fixed rules (section "Exact Exit Thresholds" and stages 2 to 4); nothing is certified."""

    name: str = "plan"

    def wants(self, stage: Stage, calibration: CascadeCalibration) -> bool:
        """Every stage that is there."""
        return True

    def rule(self, stage: Stage, logits: FloatArray, evidence: FloatArray, calibration: CascadeCalibration) -> Ruling:
        """See `Policy.rule`."""
        p = sigmoid(np.asarray(logits, np.float64))
        exits = (p >= PLAN_CONFIDENT) | (p <= 1.0 - PLAN_CONFIDENT)
        if stage == "detectors":
            counts = np.stack([box_count(evidence, name) for name in DETECTOR_NAMES])
            none, many = (counts == 0).all(axis=0), (counts >= PLAN_BOXES).all(axis=0)
            p = np.where(none, 1.0 - PLAN_DETECTORS_ACCURACY, np.where(many, PLAN_DETECTORS_ACCURACY, p))
            exits = none | many
        elif stage == "vlm":
            said = np.asarray(evidence, np.float64)[:, EVIDENCE_NAMES.index("vlm.yes")]
            p = np.where(np.isfinite(said), said, p)
            exits = np.isfinite(said) & ((p > PLAN_VLM) | (p < 1.0 - PLAN_VLM))
        elif stage == "ocr":
            keywords = np.nan_to_num(np.asarray(evidence, np.float64)[:, EVIDENCE_NAMES.index("ocr.keywords")])
            p = np.array(PLAN_OCR)[np.clip(keywords, 0, 2).astype(np.int64)]
            exits = np.ones(len(p), bool)
        return Ruling(np.asarray(exits, np.bool_), remap(p, 0.5), p, np.zeros(len(p), bool))


@dataclass(frozen=True, slots=True)
class EveryStagePolicy(CertifiedPolicy):
    """Runs every stage on every frame; the reference that a cascade's cost and quality are held against.

    Not in the registry: nobody should serve it.
    """

    name: str = "every-stage"

    def rule(self, stage: Stage, logits: FloatArray, evidence: FloatArray, calibration: CascadeCalibration) -> Ruling:
        """See `Policy.rule`; no row ends before the last stage."""
        calibrated = calibration.latest(stage).predict(logits, evidence)
        nobody = np.zeros(len(calibrated), bool)
        return Ruling(nobody, remap(calibrated, calibration.threshold), calibrated, nobody)


POLICIES: Final[Mapping[str, Policy]] = MappingProxyType({p.name: p for p in (CertifiedPolicy(), PlanPolicy())})


def get_policy(name: str) -> Policy:
    """Looks a policy up.

    Raises:
        SettingsError: no such policy.

    Example:
        >>> get_policy("plan").name
        'plan'
    """
    if name not in POLICIES:
        raise SettingsError(f"policy {name!r}", ", ".join(POLICIES), "set cascade.policy to one of them", policy=name)
    return POLICIES[name]


def box_count(evidence: FloatArray, detector: str) -> npt.NDArray[np.float64]:
    """Boxes of one detector over all classes, [N]; NaN where it did not run."""
    places = [EVIDENCE_NAMES.index(f"{detector}.{c}.count") for c in DEVICE_CLASSES]
    return np.asarray(np.asarray(evidence, np.float64)[:, places].sum(axis=1), np.float64)
