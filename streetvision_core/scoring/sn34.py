"""How subnet 34 (BitMind, AI-generated media) scores a detector: MCC and Brier score, sharpened and multiplied.

    score = sqrt(max(1e-12, clip((MCC + 1) / 2, 0, 1) ** 1.2 * max(0, (0.25 - Brier) / 0.25) ** 1.8))

Source, read and equal in all three: `Metrics.compute_sn34_score` in src/gasbench/benchmarks/utils/metrics.py and
docs/Classification-and-Scoring.md of BitMind-AI/gasbench, docs/Incentive.md of BitMind-AI/bitmind-subnet. This is
the binary form; their image and video rounds now use a three- or four-class one, which coincides for two classes. Not
ported, because they belong to a round's configuration: weights of data sets and the blend with an augmented pass.

It matters here as the rule that pays for calibration: unlike SN72 it looks at the probability, not only at its side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.scoring._arrays import Doubles, checked
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.sn72 import draw_streams

MCC_EXPONENT: Final = 1.2
BRIER_EXPONENT: Final = 1.8
BRIER_OF_A_GUESS: Final = 0.25
FLOOR: Final = 1e-12
CLIP: Final = 1e-7


def combine(mcc: npt.ArrayLike, brier: npt.ArrayLike) -> Doubles:
    """The score from its two parts.

    Example:
        >>> round(float(combine(1.0, 0.0)), 6), round(float(combine(0.8, 0.05)), 4), float(combine(0.0, 0.25))
        (1.0, 0.7679, 1e-06)
    """
    sharp_mcc = np.clip((np.asarray(mcc, np.float64) + 1) / 2, 0, 1) ** MCC_EXPONENT
    gain = np.maximum(0.0, (BRIER_OF_A_GUESS - np.asarray(brier, np.float64)) / BRIER_OF_A_GUESS)
    return np.asarray(np.clip(np.sqrt(np.maximum(FLOOR, sharp_mcc * gain**BRIER_EXPONENT)), 0, 1))


@dataclass(frozen=True, slots=True)
class SN34Rule:
    """Subnet 34's rule as a plug-in; see `streetvision_core.scoring.rules.ScoringRule`."""

    name: str = "sn34"
    threshold: float = 0.5

    def score(self, p: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The score of one set; there is no -1 here, a failed answer invalidates their run.

        Raises:
            DataError: probabilities outside [0, 1] or NaN, labels other than 0 and 1.
        """
        probabilities, labels = checked(p, y)
        return float(self.score_many(probabilities[None], labels[None])[0])

    def score_many(self, p: npt.ArrayLike, y: npt.ArrayLike) -> Doubles:
        """`score` of many sets at once, [S, N] -> [S]."""
        probabilities, labels = np.asarray(p, np.float64), np.asarray(y).astype(bool)
        table = Confusion.count(probabilities > 0.5, labels)
        brier = np.mean((np.clip(probabilities, CLIP, 1 - CLIP) - labels) ** 2, axis=-1)
        return combine(table.mcc(), brier)

    def from_confusion(self, table: Confusion, brier: npt.ArrayLike = np.nan) -> Doubles:
        """The score from counts of decisions and the Brier score."""
        return combine(table.mcc(), brier)

    def expected(
        self, p: npt.ArrayLike, y: npt.ArrayLike, *, streams: int = 200, steps: int = 400, seed: int = 0
    ) -> float:
        """The mean score over benchmarks of `steps` rows with uniform labels."""
        probabilities, labels = checked(p, y)
        chosen = draw_streams(labels, streams, steps, np.random.default_rng(seed))
        return float(self.score_many(probabilities[chosen], labels[chosen]).mean())
