"""The embedded backbone in int8, judged through the head that uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.check import CompressionReport, Probabilities, compress
from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.backbone import OnnxBackbone, cached_lite2
from streetvision_core.models.features import extract
from streetvision_core.models.head import Head
from streetvision_core.types import Frame

MAX_CALIBRATION_FRAMES = 64
"""MinMax ranges settle early; more frames cost seconds and memory."""


def compress_backbone(
    head: Head,
    calibrate: Sequence[Frame],
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    cache: Path,
    *,
    threads: int = 2,
    rounds: int = 30,
) -> CompressionReport:
    """Tries int8 copies of the head's backbone.

    Args:
        head: trained on fp32 features; it must decide the same on int8 ones.
        calibrate: CALIBRATE frames, at most the first 64 are used.
        judge: frames to compare decisions on, none of them in `calibrate`.
        y: labels of `judge`.
        cache: `data/cache`; copies go to its folder `int8`.
        threads: intra-op threads.
        rounds: timed rounds.

    Raises:
        ModelError: the head's backbone has no ONNX file.
    """
    if head.backbone != "efficientnet-lite2":
        raise ModelError(
            got=f"the backbone {head.backbone!r}",
            allowed="efficientnet-lite2, the one that runs on ONNX Runtime",
            action="use the profile embedded, or compress with the tools of envs/",
        )
    preprocessor = get_preprocessor(head.preprocessing)
    views = [preprocessor.views(frame.pixels)[:1] for frame in calibrate[:MAX_CALIBRATION_FRAMES]]

    def predict(path: Path) -> Probabilities:
        backbone = OnnxBackbone(head.backbone, path, threads)
        logits = head.predict_logit(extract(judge, backbone, preprocessor))
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))))

    def make_run(path: Path) -> Callable[[], object]:
        backbone = OnnxBackbone(head.backbone, path, threads)
        example = views[0] if views else np.zeros((1, preprocessor.view_size, preprocessor.view_size, 3), np.uint8)
        return lambda: backbone.embed(example)

    return compress(cached_lite2(cache), cache / "int8", views, predict, make_run, y, rounds=rounds)
