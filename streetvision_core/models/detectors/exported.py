"""A detector whose network is an ONNX file: it needs neither torch nor the package of its maker.

Its folder holds card.json and model.onnx, as `compression.detectors.export_detector` leaves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.models.detectors._ends import ends_of
from streetvision_core.models.detectors.card import DetectorCard
from streetvision_core.models.detectors.meaning import counted_boxes, meaning_of
from streetvision_core.models.hub import resolve
from streetvision_core.models.session import Session, each
from streetvision_core.settings import Settings
from streetvision_core.types import Box, Frame

ONNX: Final = "model.onnx"
INPUT: Final = "input"
"""What rfdetr's exporter and ours call the network's input."""


class OnnxDetector:
    """An exported RF-DETR or YOLO on ONNX Runtime; several threads may use one object.

    Args:
        name: the detector's name in the profile.
        card: classes, version, and what stands around the network.
        path: the ONNX file.
        threads: intra-op threads.

    Raises:
        DetectorClassesError: its classes are not of road work.
        ManifestError: the card says not what stands around the network.
        ModelError: the file cannot be loaded.
    """

    def __init__(self, name: str, card: DetectorCard, path: Path, threads: int = 2) -> None:
        self.name, self.version = name, card.version
        self._meaning = meaning_of(card.classes, name)
        self._ends = ends_of(card.config)
        self._threads = threads
        self._session = Session(path, path.name, threads)

    @classmethod
    def read(cls, name: str, folder: Path, threads: int = 2) -> OnnxDetector:
        """The detector in a folder with card.json and model.onnx."""
        return cls(name, DetectorCard.read(folder), folder / ONNX, threads)

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """For each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels."""
        return each(self._detect, frames, self._threads)

    def planes(self, frame: Frame) -> npt.NDArray[np.float32]:
        """The network's input for a frame, float32 [1, 3, H, W]."""
        return self._ends.planes(frame)

    def run(self, planes: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """The network alone."""
        return self._session.run(None, {INPUT: planes})

    def _detect(self, frame: Frame) -> tuple[Box, ...]:
        found = self._ends.found(self.run(self.planes(frame)), frame)
        return counted_boxes(*found, self._meaning, frame.width, frame.height)


def from_settings(name: str, settings: Settings) -> OnnxDetector:
    """The exported detector in the local folder of this name."""
    return OnnxDetector.read(name, resolve(name, settings), settings.models.threads)
