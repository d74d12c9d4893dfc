"""Decisions over many rows as arrays: what the loop, the gate and the evaluation work on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Mask
from streetvision_core.calibration.columns import has_run
from streetvision_core.calibration.threshold import remap
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.policy import Policy
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.types import STAGES, FloatArray, Stage, Verdict

_OF_STAGE: Mapping[Stage, npt.NDArray[np.bool_]] = {
    "classifier": np.zeros(len(EVIDENCE_NAMES), bool),
    "detectors": np.array([not name.startswith(("vlm.", "ocr.")) for name in EVIDENCE_NAMES]),
    "vlm": np.array([not name.startswith("ocr.") for name in EVIDENCE_NAMES]),
    "ocr": np.ones(len(EVIDENCE_NAMES), bool),
}
"""Evidence columns that are known once a stage has run."""


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Answers for N rows.

    Attributes:
        p: probability of road work at the paid threshold 0.5, never exactly 0.5, [N].
        calibrated: the same before t* was moved to 0.5, [N]; what reliability is judged on.
        exit_stage: index into `STAGES` of the stage that ended each row, [N].
        certified: whether that exit lay in a certified band, [N].
        ran: which stages were run on each row, [N, 4] in the order of `STAGES`.
        policy: the policy's name.
    """

    p: Array
    calibrated: Array
    exit_stage: npt.NDArray[np.int64]
    certified: Mask
    ran: Mask
    policy: str

    def __len__(self) -> int:
        return len(self.p)

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Decisions:
        """The rows of a mask or of row numbers."""
        return Decisions(
            self.p[rows],
            self.calibrated[rows],
            self.exit_stage[rows],
            self.certified[rows],
            self.ran[rows],
            self.policy,
        )

    @classmethod
    def merge(cls, parts: Sequence[tuple[npt.NDArray[np.intp], Decisions]], n: int, policy: str) -> Decisions:
        """Puts the decisions of disjoint row numbers together into those of all n rows."""
        whole = cls(
            np.empty(n),
            np.empty(n),
            np.zeros(n, np.int64),
            np.zeros(n, np.bool_),
            np.zeros((n, len(STAGES)), np.bool_),
            policy,
        )
        for rows, part in parts:
            for name in ("p", "calibrated", "exit_stage", "certified", "ran"):
                getattr(whole, name)[rows] = getattr(part, name)
        return whole

    @classmethod
    def of_verdicts(cls, verdicts: Sequence[Verdict], threshold: npt.ArrayLike = 0.5) -> Decisions:
        """The arrays of verdicts.

        Args:
            verdicts: of one policy.
            threshold: t* of the calibration that made them, one or one per verdict, to undo the remap; 0.5 leaves p as
                it is.
        """
        p = np.array([v.p_roadwork for v in verdicts], np.float64)
        seen = [{e.stage for e in v.evidence if e.answered} for v in verdicts]
        return cls(
            p=p,
            calibrated=remap(p, 1.0 - np.asarray(threshold, np.float64)),
            exit_stage=np.array([STAGES.index(v.exit_stage) for v in verdicts], np.int64),
            certified=np.array([v.certified for v in verdicts], np.bool_),
            ran=np.array([[stage in stages for stage in STAGES] for stages in seen], np.bool_).reshape(-1, len(STAGES)),
            policy=verdicts[0].policy if verdicts else "",
        )


def decide(logits: FloatArray, evidence: FloatArray, calibration: CascadeCalibration, policy: Policy) -> Decisions:
    """Runs a policy over rows whose evidence is already known.

    A stage runs on a row if the policy wants it, the row has not ended, and its evidence is there; otherwise it is
    passed over, as the engine passes over a stage that is absent or cannot see the frame.

    Args:
        logits: the head's, [N].
        evidence: [N, E], NaN where a stage did not run.
        calibration: what was learned on CALIBRATE.
        policy: decides.
    """
    n = len(logits)
    state = State.start(n, policy.name, calibration)
    for stage in STAGES:
        if not policy.wants(stage, calibration):
            continue
        rows = np.flatnonzero(~state.ended & has_run(stage, evidence))
        state.apply(stage, rows, logits[rows], evidence[rows], calibration, policy)
    return state.decisions()


@dataclass(slots=True, eq=False)
class State:
    """The cascade under way over N rows; shared by the engine and the table path."""

    p: Array
    calibrated: Array
    exit_stage: npt.NDArray[np.int64]
    certified: Mask
    ran: Mask
    ended: Mask
    policy: str

    @classmethod
    def start(cls, n: int, policy: str, calibration: CascadeCalibration) -> State:
        """Nothing known yet: the prior."""
        prior = np.full(n, calibration.prior)
        return cls(
            p=remap(prior, calibration.threshold),
            calibrated=prior,
            exit_stage=np.zeros(n, np.int64),
            certified=np.zeros(n, bool),
            ran=np.zeros((n, len(STAGES)), bool),
            ended=np.zeros(n, bool),
            policy=policy,
        )

    def apply(
        self,
        stage: Stage,
        rows: npt.NDArray[np.int64],
        logits: FloatArray,
        evidence: FloatArray,
        calibration: CascadeCalibration,
        policy: Policy,
    ) -> None:
        """Lets the policy rule on rows on which the stage has just run; later stages' columns are hidden from it."""
        if not len(rows):
            return
        known = np.where(_OF_STAGE[stage], np.asarray(evidence, np.float64), np.nan)
        ruling = policy.rule(stage, logits, known, calibration)
        self.p[rows], self.calibrated[rows] = ruling.p, ruling.calibrated
        self.certified[rows], self.ended[rows] = ruling.certified, ruling.exits
        self.exit_stage[rows] = STAGES.index(stage)
        self.ran[rows, STAGES.index(stage)] = True

    def decisions(self) -> Decisions:
        """The answers as they stand."""
        return Decisions(self.p, self.calibrated, self.exit_stage, self.certified, self.ran, self.policy)
