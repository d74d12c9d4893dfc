"""How hard a frame was for the cascade: four measures, each ranked to [0, 1], and their weighted mean.

Everything is vectorised over rows; the rows are those of a `FeatureTable` or of the query log.

Example:
    >>> rank01(np.array([0.0, 0.0, 3.0, 9.0, 0.0]))
    array([0.  , 0.  , 0.75, 1.  , 0.  ])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from streetvision_core.cascade.decisions import Decisions
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.models.evidence import DETECTOR_NAMES, EVIDENCE_NAMES, vector
from streetvision_core.types import DEVICE_CLASSES, FloatArray, Verdict

Component = Literal["uncertainty", "stage_disagreement", "detector_disagreement", "uncertified"]
COMPONENTS: Final[tuple[Component, ...]] = get_args(Component)

DEFAULT_WEIGHTS: Final[Mapping[Component, float]] = MappingProxyType(
    {"uncertainty": 0.40, "stage_disagreement": 0.25, "detector_disagreement": 0.20, "uncertified": 0.15}
)


@dataclass(frozen=True, slots=True, eq=False)
class Probabilities:
    """What the cascade said about N rows.

    Attributes:
        final: float64 [N], the answer.
        classifier: float64 [N], stage 1 on its own; NaN where unknown.
        detectors: float64 [N], after stage 2; NaN where stage 2 did not run.
        certified: bool [N], whether the exit lay in a certified band.
    """

    final: npt.NDArray[np.float64]
    classifier: npt.NDArray[np.float64]
    detectors: npt.NDArray[np.float64]
    certified: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        lengths = {len(self.final), len(self.classifier), len(self.detectors), len(self.certified)}
        if len(lengths) != 1 or not np.isfinite(self.final).all():
            raise DataError(
                got=f"probabilities of lengths {sorted(lengths)}, {int((~np.isfinite(self.final)).sum())} not finite",
                allowed="one finite answer per row in every column",
                action="take them from Cascade verdicts",
            )

    @classmethod
    def from_verdicts(cls, verdicts: Sequence[Verdict]) -> Probabilities:
        """Reads them from logged answers.

        The log holds the head's logit and the final probability. Stage 1 on its own is therefore the sigmoid of the
        logit, and what later stages made of it is the answer, where any later stage ran.
        """
        logits = np.array([_logit(v) for v in verdicts], np.float64)
        final = np.array([v.p_roadwork for v in verdicts], np.float64)
        later = np.array([any(e.stage != "classifier" for e in v.evidence) for v in verdicts], np.bool_)
        certified = np.array([v.certified for v in verdicts], np.bool_)
        return cls(final, _sigmoid(logits), np.where(later, final, np.nan), certified)

    @classmethod
    def from_decisions(cls, decisions: Decisions, logits: FloatArray) -> Probabilities:
        """Reads them from `cascade.engine.predict_table`, in the same way.

        Args:
            decisions: for N rows.
            logits: float64 [N], `Head.predict_logit` of the same rows.
        """
        later = decisions.ran[:, 1:].any(axis=1)
        after = np.where(later, decisions.p, np.nan)
        return cls(decisions.p, _sigmoid(np.asarray(logits, np.float64)), after, decisions.certified)


@dataclass(frozen=True, slots=True, eq=False)
class HardnessScores:
    """Hardness of N rows.

    Attributes:
        raw: float64 [N] per component, in the component's own unit (see its function).
        ranked: float64 [N] per component, in [0, 1]: the share of rows with a smaller raw value.
        total: float64 [N], in [0, 1]: weighted mean of the ranked components.
        weights: the weights used.
    """

    raw: Mapping[Component, npt.NDArray[np.float64]]
    ranked: Mapping[Component, npt.NDArray[np.float64]]
    total: npt.NDArray[np.float64]
    weights: Mapping[Component, float]

    def __len__(self) -> int:
        return len(self.total)


def score(
    table: FeatureTable, probabilities: Probabilities, weights: Mapping[Component, float] = DEFAULT_WEIGHTS
) -> HardnessScores:
    """Scores the rows of a table.

    Args:
        table: N rows; only `evidence` is read.
        probabilities: what the cascade said about them.
        weights: how much each component counts; they are divided by their sum.
    """
    return score_evidence(table.evidence, probabilities, weights)


def score_verdicts(verdicts: Sequence[Verdict], weights: Mapping[Component, float] = DEFAULT_WEIGHTS) -> HardnessScores:
    """Scores logged answers."""
    nothing = np.empty((0, len(EVIDENCE_NAMES)), np.float32)
    evidence = np.stack([vector(v.evidence) for v in verdicts]) if verdicts else nothing
    return score_evidence(evidence, Probabilities.from_verdicts(verdicts), weights)


def score_evidence(
    evidence: npt.NDArray[np.float32],
    probabilities: Probabilities,
    weights: Mapping[Component, float] = DEFAULT_WEIGHTS,
) -> HardnessScores:
    """Scores rows of evidence, float32 [N, E] in the order of `EVIDENCE_NAMES`."""
    if len(evidence) != len(probabilities.final):
        raise DataError(
            got=f"{len(evidence)} rows of evidence and {len(probabilities.final)} answers",
            allowed="as many of one as of the other",
            action="score a table with the answers for its own rows",
        )
    raw: dict[Component, npt.NDArray[np.float64]] = {
        "uncertainty": uncertainty(probabilities.final),
        "stage_disagreement": stage_disagreement(probabilities.classifier, probabilities.detectors),
        "detector_disagreement": detector_disagreement(evidence),
        "uncertified": (~probabilities.certified).astype(np.float64),
    }
    ranked = {name: rank01(values) for name, values in raw.items()}
    mass = sum(weights.values())
    total = np.zeros(len(evidence))
    for name in COMPONENTS:
        total += weights.get(name, 0.0) / mass * ranked[name]
    return HardnessScores(raw, ranked, total, weights)


def uncertainty(p: FloatArray) -> npt.NDArray[np.float64]:
    """1 - 2 |p - 0.5|: 1 at the paid threshold, 0 at certainty.

    For two classes the entropy of p orders rows in the same way; the margin keeps its resolution near 0.5.
    """
    return 1.0 - 2.0 * np.abs(np.asarray(p, np.float64) - 0.5)


def stage_disagreement(p_classifier: FloatArray, p_detectors: FloatArray) -> npt.NDArray[np.float64]:
    """|p_stage1 - p_stage2| in [0, 1]; 0 where one of the two did not run."""
    return np.nan_to_num(np.abs(np.asarray(p_classifier, np.float64) - np.asarray(p_detectors, np.float64)), nan=0.0)


def detector_disagreement(evidence: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How differently the two detectors see a frame, in [0, 1]; 0 where one of them did not run.

    The mean of two parts: the largest difference of the best scores over the device classes, and the difference of
    the counts over all classes as a share of the objects either of them counted (plus one).
    """
    first, second = DETECTOR_NAMES
    scores = evidence[:, _columns(first, "max")] - evidence[:, _columns(second, "max")]
    ours, theirs = evidence[:, _columns(first, "count")], evidence[:, _columns(second, "count")]
    counted = np.abs(ours - theirs).sum(axis=1) / ((ours + theirs).sum(axis=1) + 1.0)
    both = 0.5 * np.abs(scores).max(axis=1, initial=0.0) + 0.5 * counted
    return np.nan_to_num(np.asarray(both, np.float64), nan=0.0)


def rank01(values: FloatArray) -> npt.NDArray[np.float64]:
    """Ranks values to [0, 1]: the share of other rows with a smaller value.

    Equal values share the lowest rank of theirs, so a measure that is zero for most rows stays zero for them, and a
    rare nonzero value ranks near 1.
    """
    ordered = np.sort(values)
    return np.asarray(np.searchsorted(ordered, values, side="left") / max(len(values) - 1, 1), np.float64)


def _columns(detector: str, what: str) -> list[int]:
    return [EVIDENCE_NAMES.index(f"{detector}.{label}.{what}") for label in DEVICE_CLASSES]


def _sigmoid(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0))), np.float64)


def _logit(verdict: Verdict) -> float:
    return next((e.scores["logit"] for e in verdict.evidence if "logit" in e.scores), np.nan)
