"""RF-DETR and YOLO as ONNX files that find the same boxes.

Example:
    >>> export_detector(detector, folder / "rfdetr-medium-onnx", frames)             # doctest: +SKIP
    ExportedDetector(folder=..., sha256='…', difference=0.0003, boxes=41)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.export import onnx_of
from streetvision_core.compression.int8 import quiet
from streetvision_core.errors import ModelError
from streetvision_core.models import hub
from streetvision_core.models.detectors._nms import MIN_SCORE
from streetvision_core.models.detectors.card import DetectorCard
from streetvision_core.models.detectors.exported import ONNX, OnnxDetector
from streetvision_core.models.detectors.rfdetr import RfDetr, TransformersRfDetr
from streetvision_core.models.detectors.yolo import UltralyticsYolo, first
from streetvision_core.storage import atomic_write_bytes, file_sha256
from streetvision_core.types import Box, Frame

TOLERANCE: Final = 5e-3
"""Largest difference of two paired boxes: of a corner as a share of the frame's longer side, or of the score."""


class Portable(Protocol):
    """What an exportable detector offers beside its boxes."""

    name: str

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """Boxes of frames."""

    def portable(self) -> tuple[DetectorCard, Any]:
        """The card of an exported copy, and what is exported."""


@dataclass(frozen=True, slots=True)
class ExportedDetector:
    """A folder with an exported detector.

    Attributes:
        folder: card.json, model.onnx and the manifest; its place under `models.folder` is the detector's name.
        sha256: of model.onnx.
        difference: largest difference of two paired boxes, see `TOLERANCE`.
        boxes: how many were compared.
    """

    folder: Path
    sha256: str
    difference: float
    boxes: int


def export_detector(
    detector: Portable, folder: Path, frames: Sequence[Frame], *, tolerance: float = TOLERANCE
) -> ExportedDetector:
    """Writes a detector as ONNX, for one frame at a time, if ONNX Runtime finds the same boxes in the frames.

    Args:
        detector: a loaded RF-DETR (of rfdetr or of transformers) or YOLO, on the CPU in fp32.
        folder: where it goes; `OnnxDetector.read` and profiles load it from there.
        frames: to compare on; boxes must be found in some of them.
        tolerance: see `TOLERANCE`.

    Raises:
        ModelError: it cannot be exported, the frames show nothing, or boxes differ; nothing is written then.
    """
    card, network = detector.portable()
    data = _WRITERS[type(detector)](network, card)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / ONNX
        file.write_bytes(data)
        exported = OnnxDetector(detector.name, card, file, 1)
        wanted, got = detector.detect(frames), exported.detect(frames)
    count = sum(map(len, wanted))
    differences = [box_difference(a, b, frame) for a, b, frame in zip(wanted, got, frames, strict=True)]
    difference = max(differences, default=float("inf"))
    if not count or not difference <= tolerance:
        raise ModelError(
            got=f"an export of {detector.name} whose boxes differ by {difference:.2g} on {len(frames)} frames with "
            f"{count} boxes",
            allowed=f"at most {tolerance:g}, on frames with at least one box",
            action="serve the original; nothing was written",
            difference=difference,
        )
    write_detector(folder, card, data)
    return ExportedDetector(folder, file_sha256(folder / ONNX), difference, count)


def box_difference(wanted: Sequence[Box], got: Sequence[Box], frame: Frame) -> float:
    """How far two answers to one frame are apart, box by box, whatever their order.

    Args:
        wanted: boxes.
        got: boxes to pair with them, of the same class each.
        frame: the frame; its longer side is the unit of length.

    Returns:
        the largest difference of a corner (as a share of the longer side) or of a score; infinite where a box has no
        partner, unless its score lies within `TOLERANCE` of the least one that is answered.
    """
    rest, worst, side = list(got), 0.0, max(frame.width, frame.height)
    for box in wanted:
        apart = [(_apart(box, other, side), i) for i, other in enumerate(rest) if other.label == box.label]
        near, i = min(apart, default=(float("inf"), -1))
        if near > TOLERANCE and box.score < MIN_SCORE + TOLERANCE:
            continue
        worst = max(worst, near)
        if i >= 0:
            del rest[i]
    return float("inf") if any(box.score >= MIN_SCORE + TOLERANCE for box in rest) else worst


def _apart(a: Box, b: Box, side: int) -> float:
    corners = max(abs(a.x0 - b.x0), abs(a.y0 - b.y0), abs(a.x1 - b.x1), abs(a.y1 - b.y1)) / side
    return max(corners, abs(a.score - b.score))


def write_detector(folder: Path, card: DetectorCard, data: bytes) -> None:
    """Writes a folder from which `OnnxDetector.read` and profiles load: card.json, model.onnx and the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(folder / ONNX, data)
    card.write(folder)
    hub.record(folder.name, folder)


def _rfdetr(model: Any, card: DetectorCard) -> bytes:
    """Through the package's own exporter, which fixes the position embeddings to the size first."""
    with tempfile.TemporaryDirectory() as scratch, quiet():
        try:
            path = model.export(output_dir=scratch, format="onnx", verbose=False)
            return Path(path).read_bytes()
        except Exception as error:  # whatever the package and the exporter below it raise
            raise ModelError(
                got=f"RF-DETR {card.architecture}: {type(error).__name__} while exporting: {error}",
                allowed="a network that rfdetr exports, with its requirements onnx and torch",
                action="serve it through rfdetr",
            ) from error


def _transformers(model: Any, card: DetectorCard) -> bytes:
    pixels = np.repeat(_noise(card), 2, axis=0)  # only the newer exporter knows its bicubic resize, and it wants two
    return onnx_of(_Answers(model).module(lambda m, x: _pair(m(pixel_values=x))), pixels, ["boxes", "logits"])


def _yolo(model: Any, card: DetectorCard) -> bytes:
    return onnx_of(_Answers(model).module(lambda m, x: first(m(x))), _noise(card), ["detections"])


def _pair(answer: Any) -> tuple[Any, Any]:
    return answer.pred_boxes, answer.logits


def _noise(card: DetectorCard) -> npt.NDArray[np.float32]:
    side = int(card.config["side"])
    return np.random.default_rng(0).random((1, 3, side, side), np.float32)


@dataclass(frozen=True)
class _Answers:
    """A network under a forward that returns tensors only."""

    network: Any

    def module(self, ask: Callable[[Any, Any], Any]) -> Any:
        import torch

        class Plain(torch.nn.Module):
            def __init__(self, network: Any) -> None:
                super().__init__()
                self.network = network

            def forward(self, pixels: Any) -> Any:
                return ask(self.network, pixels)

        return Plain(self.network).eval()


_WRITERS: Final[dict[type, Callable[[Any, DetectorCard], bytes]]] = {
    RfDetr: _rfdetr,
    TransformersRfDetr: _transformers,
    UltralyticsYolo: _yolo,
}
