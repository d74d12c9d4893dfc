"""Detectors in int8, judged by whether they find any device in a frame: exported ones, yolo12n, dense-lite2's head."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.check import Probabilities, compress
from streetvision_core.compression.detectors import write_detector
from streetvision_core.compression.report import CompressionReport
from streetvision_core.compression.reuse import digest_of
from streetvision_core.models.detectors._dense import STRIDES, DenseDetector, MapMaker
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER
from streetvision_core.models.detectors._yolo import YoloDetector
from streetvision_core.models.detectors.card import DetectorCard
from streetvision_core.models.detectors.exported import ONNX, OnnxDetector
from streetvision_core.types import Box, Frame

COUNTED: Final = 0.4
"""A frame counts as one with devices from this best score on."""
MAX_CALIBRATION_FRAMES: Final = 64


class Runnable(Protocol):
    """A detector whose network can be run alone."""

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """Boxes of frames."""

    def planes(self, frame: Frame) -> Any:
        """The network's input for a frame, or its inputs by name."""

    def run(self, planes: Any) -> list[npt.NDArray[Any]]:
        """The network alone."""


def compress_detector(
    source: Path,
    target: Path,
    calibrate: Sequence[Frame],
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    *,
    counted: float = COUNTED,
    threads: int = 2,
    rounds: int = 30,
    cache: Path | None = None,
) -> CompressionReport:
    """Tries static int8 of an exported detector, judged by whether it finds any device in a frame.

    Args:
        source: the folder that `export_detector` wrote.
        target: written like it if the copy is allowed; its card's version ends in `-int8`.
        calibrate: CALIBRATE frames, at most the first 64 are used.
        judge: frames to compare decisions on, none of them in `calibrate`.
        y: labels of `judge`: 1 where there is a device.
        counted: best score from which on a frame counts as one with devices.
        threads: intra-op threads.
        rounds: timed rounds.
        cache: where copies lie to be taken again, allowed or not; None: they are thrown away.

    Raises:
        ManifestError: `source` holds no exported detector.
    """
    card = DetectorCard.read(source)

    def read(path: Path) -> OnnxDetector:
        return OnnxDetector(source.name, card, path, threads)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if cache is None else cache / source.name
        report = _compress(source / ONNX, folder, read, calibrate, judge, y, counted, rounds)
        if report.path == source / ONNX:
            return report
        write_detector(target, replace(card, version=f"{card.version}-int8"), report.path.read_bytes())
    return replace(report, path=target / ONNX)


def compress_yolo(
    calibrate: Sequence[Frame],
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    folder: Path,
    *,
    counted: float = COUNTED,
    threads: int = 2,
    rounds: int = 30,
) -> CompressionReport:
    """Tries static int8 of the embedded yolo12n, judged as in `compress_detector`.

    Args:
        calibrate: see `compress_detector`.
        judge: see `compress_detector`.
        y: see `compress_detector`.
        folder: where the copy goes, e.g. `data/cache/int8`.
        counted: see `compress_detector`.
        threads: intra-op threads.
        rounds: timed rounds.
    """
    source = WEIGHTS_FOLDER / "yolo12n.onnx"
    return _compress(
        source, folder, lambda path: YoloDetector(threads, copy=path), calibrate, judge, y, counted, rounds
    )


def compress_dense(
    backbone: MapMaker,
    calibrate: Sequence[Frame],
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    folder: Path,
    *,
    counted: float = COUNTED,
    threads: int = 2,
    rounds: int = 30,
) -> CompressionReport:
    """Tries static int8 of dense-lite2's own network, the head, on maps that the backbone makes in fp32.

    The backbone's part of the work stays as it is: time and size are of the head alone, decisions of the whole.

    Args:
        backbone: makes the maps.
        calibrate: see `compress_detector`.
        judge: see `compress_detector`.
        y: see `compress_detector`.
        folder: where the copy goes, e.g. `data/cache/int8`.
        counted: see `compress_detector`.
        threads: intra-op threads.
        rounds: timed rounds.
    """
    source, maps = WEIGHTS_FOLDER / "dense-lite2.onnx", _Remembered(backbone)
    return _compress(
        source, folder, lambda path: DenseDetector(threads, maps, copy=path), calibrate, judge, y, counted, rounds
    )


class _Remembered:
    """Maps of images that were asked for before: every copy of the head is judged on the same ones."""

    def __init__(self, backbone: MapMaker) -> None:
        self._backbone = backbone
        self._made: dict[str, dict[int, npt.NDArray[np.float32]]] = {}

    def maps(
        self, images: npt.NDArray[np.uint8], strides: Sequence[int] = STRIDES
    ) -> dict[int, npt.NDArray[np.float32]]:
        key = digest_of(images, tuple(strides))
        if key not in self._made:
            self._made[key] = self._backbone.maps(images, strides)
        return self._made[key]


def _compress(
    source: Path,
    folder: Path,
    read: Callable[[Path], Runnable],
    calibrate: Sequence[Frame],
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    counted: float,
    rounds: int,
) -> CompressionReport:
    fp32 = read(source)
    batches = [fp32.planes(frame) for frame in calibrate[:MAX_CALIBRATION_FRAMES]]

    def predict(path: Path) -> Probabilities:
        best = np.array([max((box.score for box in boxes), default=0.0) for boxes in read(path).detect(judge)])
        return np.asarray(np.clip(0.5 + (best - counted) / 2, 0, 1))

    def make_run(path: Path) -> Callable[[], object]:
        copy = read(path)
        example = batches[0] if batches else copy.planes(judge[0])
        return lambda: copy.run(example)

    return compress(source, folder, batches, predict, make_run, y, methods=("static",), rounds=rounds)
