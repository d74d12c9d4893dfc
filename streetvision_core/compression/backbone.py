"""Stage 1 in int8, judged by what its head decides: the embedded backbone, a DINOv3, and the head itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.check import Probabilities, compress
from streetvision_core.compression.export import Exported, export_module
from streetvision_core.compression.report import CompressionReport
from streetvision_core.compression.runtimes import open_runtime
from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.backbone import OnnxBackbone, Views, cached_lite2
from streetvision_core.models.dinov3 import TokenBackbone, check_views
from streetvision_core.models.features import Rows, extract
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
    asked: Rows | None = None,
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
        asked: features float32 [N, D] of `judge` in fp32, where they are at hand.
        threads: intra-op threads.
        rounds: timed rounds.

    Raises:
        ModelError: the head's backbone has no ONNX file.
    """
    if head.backbone != "efficientnet-lite2":
        raise ModelError(
            got=f"the backbone {head.backbone!r}",
            allowed="efficientnet-lite2, the one that runs on ONNX Runtime",
            action="use the profile embedded, or compress_tokens for a DINOv3",
        )
    preprocessor = get_preprocessor(head.preprocessing)
    views = [preprocessor.views(frame.pixels)[:1] for frame in calibrate[:MAX_CALIBRATION_FRAMES]]

    source = cached_lite2(cache)

    def predict(path: Path) -> Probabilities:
        if asked is not None and path == source:
            return _sigmoid(head.predict_logit(asked))
        return _sigmoid(head.predict_logit(extract(judge, OnnxBackbone(head.backbone, path, threads), preprocessor)))

    def make_run(path: Path) -> Callable[[], object]:
        backbone = OnnxBackbone(head.backbone, path, threads)
        example = views[0] if views else np.zeros((1, preprocessor.view_size, preprocessor.view_size, 3), np.uint8)
        return lambda: backbone.embed(example)

    return compress(source, cache / "int8", views, predict, make_run, y, rounds=rounds)


class OnnxTokens:
    """A DINOv3 whose features come from an ONNX file that `export_tokens` wrote.

    Args:
        source: the backbone it was made from; gives name, width and normalisation.
        path: the ONNX file, or an int8 copy of it.
        threads: intra-op threads.
    """

    recipe = TokenBackbone.recipe

    def __init__(self, source: TokenBackbone, path: Path, threads: int = 2) -> None:
        self.name, self.dim = source.name, source.dim
        self._source = source
        self._run = open_runtime(path, "onnxruntime", threads)

    def embed(self, views: Views) -> npt.NDArray[np.float32]:
        """Embeddings float32 [N, 2 C] of views uint8 [N, H, W, 3]."""
        return np.concatenate([self.run(self.planes(views[i : i + 1])) for i in range(len(views))])

    def maps(self, images: Views, strides: Sequence[int] = (16,)) -> dict[int, npt.NDArray[np.float32]]:
        """The source's own: the file has no maps."""
        return self._source.maps(images, strides)

    def planes(self, views: Views) -> npt.NDArray[np.float32]:
        """The file's input for views."""
        return planes_of(self._source, views)

    def run(self, planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The file alone."""
        return self._run(planes)[0]


def planes_of(backbone: TokenBackbone, views: Views) -> npt.NDArray[np.float32]:
    """Views as the network wants them, float32 [N, 3, H, W]."""
    import torch

    check_views(views, backbone.network.patch)
    return np.asarray(backbone.network.normalise(views, "cpu", torch.float32).numpy(), np.float32)


def export_tokens(backbone: TokenBackbone, side: int, path: Path) -> Exported:
    """Writes a DINOv3's class token | mean patch token as ONNX, for one view size.

    Args:
        backbone: on the CPU in fp32.
        side: of a view, in pixels; a multiple of the patch.
        path: where the file goes; written only if its answers are right.

    Raises:
        ModelError: it cannot be exported, or answers otherwise.
    """
    import torch

    network = backbone.network

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network.model

        def forward(self, pixels: Any) -> Any:
            return network.features(pixels)

    views = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    return export_module(Features(), planes_of(backbone, views), path, ["features"])


def compress_tokens(
    head: Head,
    backbone: TokenBackbone,
    source: Path,
    calibrate: Sequence[Frame],
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    folder: Path,
    *,
    threads: int = 2,
    rounds: int = 30,
) -> CompressionReport:
    """Tries static int8 of an exported DINOv3.

    Args:
        head: trained on the backbone's features.
        backbone: on the CPU in fp32.
        source: what `export_tokens` wrote of it, for the side of the head's views.
        calibrate: CALIBRATE frames, at most the first 64 are used.
        judge: frames to compare decisions on, none of them in `calibrate`.
        y: labels of `judge`.
        folder: where copies go.
        threads: intra-op threads.
        rounds: timed rounds.

    Raises:
        ModelError: the head belongs to another backbone.
    """
    if head.backbone != backbone.name:
        raise ModelError(
            got=f"a head of {head.backbone!r} and the backbone {backbone.name!r}",
            allowed="a head that was trained on this backbone's features",
            action="train a head on them, or name the head's backbone",
        )
    preprocessor = get_preprocessor(head.preprocessing)
    views = [preprocessor.views(frame.pixels)[:1] for frame in calibrate[:MAX_CALIBRATION_FRAMES]]
    batches = [planes_of(backbone, one) for one in views]

    def predict(path: Path) -> Probabilities:
        return _sigmoid(head.predict_logit(extract(judge, OnnxTokens(backbone, path, threads), preprocessor)))

    def make_run(path: Path) -> Callable[[], object]:
        copy = OnnxTokens(backbone, path, threads)
        return lambda: copy.run(batches[0])

    return compress(source, folder, batches, predict, make_run, y, methods=("static",), rounds=rounds)


def compress_head(
    source: Path, calibrate: Rows, judge: Rows, y: npt.ArrayLike, folder: Path, *, rounds: int = 30
) -> CompressionReport:
    """Tries static int8 of an exported head.

    Args:
        source: what `export.export_head` wrote.
        calibrate: features float32 [M, D] of CALIBRATE rows.
        judge: features float32 [N, D] of other rows.
        y: labels of `judge`.
        folder: where copies go.
        rounds: timed rounds.
    """

    def predict(path: Path) -> Probabilities:
        return _sigmoid(open_runtime(path, "onnxruntime", 1)(np.asarray(judge, np.float32))[0])

    def make_run(path: Path) -> Callable[[], object]:
        run = open_runtime(path, "onnxruntime", 1)
        return lambda: run(np.asarray(judge[:1], np.float32))

    batches = [np.asarray(row[None], np.float32) for row in calibrate[:MAX_CALIBRATION_FRAMES]]
    return compress(source, folder, batches, predict, make_run, y, methods=("static",), rounds=rounds)


def _sigmoid(logits: npt.NDArray[Any]) -> Probabilities:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -60, 60))))
