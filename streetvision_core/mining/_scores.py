"""FiftyOne's hardness and mistakenness for two classes, over all samples at once.

FiftyOne's Brain computes both sample by sample and saves each one; the formulas here are its own (hardness.py and
mistakenness.py of fiftyone-brain), and a test compares the values.

Example:
    >>> mistakenness(np.array([0.5, 0.999]), np.array([1, 0])).round(2)
    array([0.75, 1.  ])
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streetvision_core.types import FloatArray

Doubles = npt.NDArray[np.float64]


def logits_of(p: FloatArray) -> Doubles:
    """float64 [N, 2] logits (0, log-odds) of probabilities [N]; their softmax is (1 - p, p)."""
    clipped = np.clip(np.asarray(p, np.float64), 1e-9, 1.0 - 1e-9)
    odds = np.log(clipped / (1.0 - clipped))
    return np.stack([np.zeros_like(odds), odds], axis=1)


def entropy(p: FloatArray) -> Doubles:
    """Entropy in nats of (1 - p, p), float64 [N]: FiftyOne's hardness."""
    clipped = np.clip(np.asarray(p, np.float64), 1e-9, 1.0 - 1e-9)
    return np.asarray(-clipped * np.log(clipped) - (1.0 - clipped) * np.log1p(-clipped), np.float64)


def mistakenness(p: FloatArray, labels: npt.NDArray[np.int_]) -> Doubles:
    """How likely a label is a mistake, float64 [N] in [0, 1]: near 1 where a sure answer contradicts it.

    Args:
        p: answers [N].
        labels: 1, 0, or -1 for none; without a label there is nothing to be mistaken and the value is NaN.
    """
    sure = np.exp(-entropy(p))
    agrees = (np.asarray(p, np.float64) > 0.5) == (labels == 1)
    return np.where(labels < 0, np.nan, (np.where(agrees, -sure, sure) + 1.0) / 2.0)
