"""Whether a generated image may teach: like real photos, not like one we have, and showing what it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from streetvision_core.mining.drift import input_distance
from streetvision_core.models.evidence import COUNT_SCORE
from streetvision_core.types import Box

Floats = npt.NDArray[np.float32]
Refusal = Literal["", "unlike real photos", "near-duplicate", "nothing detected", "road work detected"]

FAR_QUANTILE: Final = 0.99
SLACK: Final = 1.25
"""A generated image may be this much farther from real photos than the farthest hundredth of them from each other."""
CLEARLY_SEEN: Final = 0.7
"""A detector's score from which on an image without road work is not believed."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate found.

    Attributes:
        refusal: why the image may not teach; empty if it may.
        distance: mean cosine distance to the nearest real photos.
        nearest: largest cosine to an image we have.
        best_score: the best score of any detector.
    """

    refusal: Refusal
    distance: float
    nearest: float
    best_score: float


class QualityGate:
    """Judges images one by one and remembers those it let through.

    Args:
        real: float32 [M, D], features of real photos, at least 2.
        near_duplicate_cosine: from this on an image is one we have.
        known: float32 [K, D], further images it must not repeat, e.g. the challenge set.
    """

    def __init__(self, real: Floats, near_duplicate_cosine: float, known: Floats | None = None) -> None:
        self.real = real
        self.cosine = near_duplicate_cosine
        self.limit = float(np.quantile(_leave_one_out(real), FAR_QUANTILE)) * SLACK
        self._have = _unit(real if known is None else np.concatenate([real, known]))

    def judge(self, features: Floats, boxes: Sequence[Box], label: int) -> Judgement:
        """Judges one image.

        Args:
            features: float32 [D].
            boxes: what the detectors found; all of them together.
            label: what it was asked to show, 1 road work, 0 none.
        """
        distance = float(input_distance(features[None], self.real)[0])
        nearest = float((self._have @ _unit(features[None])[0]).max())
        best = max((box.score for box in boxes), default=0.0)
        refusal = self._refusal(distance, nearest, best, label)
        if not refusal:
            self._have = np.concatenate([self._have, _unit(features[None])])
        return Judgement(refusal, round(distance, 4), round(nearest, 4), round(best, 4))

    def _refusal(self, distance: float, nearest: float, best: float, label: int) -> Refusal:
        if distance > self.limit:
            return "unlike real photos"
        if nearest >= self.cosine:
            return "near-duplicate"
        if label == 1 and best < COUNT_SCORE:
            return "nothing detected"
        if label == 0 and best >= CLEARLY_SEEN:
            return "road work detected"
        return ""


def _leave_one_out(real: Floats) -> npt.NDArray[np.float64]:
    """Distance of each real photo to the others: the five nearest, itself left out."""
    unit = _unit(real)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    k = min(5, len(real) - 1)
    return np.asarray(1.0 - np.partition(cosine, -k, axis=1)[:, -k:].mean(axis=1), np.float64)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
