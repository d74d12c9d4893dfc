"""uint8 storage of features with a range per column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


def quantise(features: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
    """Maps each column's range onto 0..255.

    Args:
        features: float32 [N, D], finite.

    Returns:
        `codes` uint8 [N, D], `low` and `step` float32 [D].
    """
    dim = features.shape[1]
    low = features.min(axis=0) if len(features) else np.zeros(dim, np.float32)
    high = features.max(axis=0) if len(features) else np.zeros(dim, np.float32)
    step = np.maximum((high - low) / 255.0, np.finfo(np.float32).tiny).astype(np.float32)
    codes = np.clip(np.rint((features - low) / step), 0, 255).astype(np.uint8)
    return {"codes": codes, "low": low.astype(np.float32), "step": step}


def dequantise(arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
    """The inverse of `quantise`, to within half a step per column."""
    restored = arrays["low"] + arrays["codes"].astype(np.float32) * arrays["step"]
    return np.asarray(restored, dtype=np.float32)
