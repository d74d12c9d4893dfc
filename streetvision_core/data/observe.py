"""Every stage on every frame: what training, calibration and the gate need, and serving never pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data._evidence_rows import EvidenceMaker, no_evidence
from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.models.factory import ModelSet
from streetvision_core.types import Box, BoxesByDetector, Frame

_BATCH: Final = 16


def boxes_of(frame: Frame, models: ModelSet) -> dict[str, tuple[Box, ...]]:
    """What each stage-2 detector finds in one frame, by detector."""
    return {detector.name: detector.detect([frame])[0] for detector in models.detectors}


def observe(
    frames: Sequence[Frame],
    models: ModelSet,
    store: Path,
    *,
    ocr_min_width_pixels: int,
    progress: str | None = None,
    seen: Mapping[str, BoxesByDetector] | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Features and full evidence, each made once and kept in the feature store.

    Args:
        frames: N images of any size.
        models: the profile's frozen models.
        store: the feature store's file.
        ocr_min_width_pixels: narrower frames are not read.
        progress: caption of a progress bar; None shows none.
        seen: image digest to what the profile's detectors have found there just now; they do not look again.

    Returns:
        features float32 [N, D] and evidence float32 [N, E], NaN where a stage did not run.
    """
    from rich.progress import track

    kept, maker = FeatureStore(store), EvidenceMaker(models, ocr_min_width_pixels, seen)
    features = kept.features(frames, models.backbone, models.preprocessor, progress=progress)
    starts = range(0, len(frames), _BATCH)
    shown = track(starts, description=f"{progress}: evidence", disable=progress is None)
    evidence = [row for start in shown for row in maker.rows(frames[start : start + _BATCH], kept)]
    return features, np.stack(evidence) if evidence else no_evidence()[None][:0]
