"""yolo12n: our own weights of the YOLO12-n network, run without ultralytics or torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.models.detectors._nms import MIN_SCORE, select_boxes
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER, read_card, read_weights
from streetvision_core.models.session import Session, each
from streetvision_core.types import Box, Frame, Pixels

NAME: Final = "yolo12n"
_GREY: Final = 114
"""The colour of letterbox bars in every YOLO since version 5."""


def letterbox(pixels: Pixels, width: int, height: int) -> tuple[Pixels, float, tuple[int, int]]:
    """Fits a frame into a fixed size without bending it.

    Args:
        pixels: uint8 [H, W, 3].
        width: of the result.
        height: of the result.

    Returns:
        the padded image, the scale, and the offset (x, y) of the frame in it: pixel = frame * scale + offset.
    """
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    inner = (min(width, max(1, round(pixels.shape[1] * scale))), min(height, max(1, round(pixels.shape[0] * scale))))
    resized = cv2.resize(pixels, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.full((height, width, 3), _GREY, np.uint8)
    canvas[y : y + inner[1], x : x + inner[0]] = resized
    return canvas, scale, (x, y)


def decode_yolo(
    detections: npt.NDArray[np.float32], min_score: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Turns the network's output for one image into candidate boxes.

    Args:
        detections: float32 [4 + C, A]: centre x, y, width, height in pixels, then scores in [0, 1].
        min_score: anchors below it in every class are left out.

    Returns:
        corners float32 [N, 4] in pixels of the network's input, and their scores float32 [N, C].
    """
    kept = detections[:, detections[4:].max(axis=0) >= min_score].T
    half = kept[:, 2:4] / 2
    return np.concatenate([kept[:, :2] - half, kept[:, :2] + half], axis=1), kept[:, 4:]


class YoloDetector:
    """The second opinion: another family, other features, other training images.

    Args:
        threads: intra-op threads of the session.
        folder: where the weights lie.
        copy: a compressed copy of the network, run in its place.
    """

    name = NAME

    def __init__(self, threads: int = 2, folder: Path = WEIGHTS_FOLDER, copy: Path | None = None) -> None:
        card = read_card(NAME, folder)
        self.version = str(card["version"])
        self._width, self._height = int(card["input"]["width"]), int(card["input"]["height"])
        self._threads = threads
        self._session = Session(copy or read_weights(f"{NAME}.onnx", folder), NAME, threads)

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """Finds devices.

        Args:
            frames: any number, any sizes.

        Returns:
            for each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels.
        """
        return each(self._detect, frames, self._threads)

    def planes(self, frame: Frame) -> npt.NDArray[np.float32]:
        """The network's input for a frame, float32 [1, 3, H, W]."""
        return self._fit(frame)[0]

    def run(self, planes: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        """The network alone."""
        return self._session.run(None, {"images": planes})

    def _fit(self, frame: Frame) -> tuple[npt.NDArray[np.float32], float, tuple[int, int]]:
        image, scale, offset = letterbox(frame.pixels, self._width, self._height)
        return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255), scale, offset

    def _detect(self, frame: Frame) -> tuple[Box, ...]:
        planes, scale, offset = self._fit(frame)
        corners, scores = decode_yolo(self.run(planes)[0][0], MIN_SCORE)
        width, height = frame.width, frame.height
        return select_boxes((corners - np.array(offset * 2, np.float32)) / np.float32(scale), scores, width, height)
