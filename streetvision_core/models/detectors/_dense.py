"""dense-lite2: a dense head on the frozen maps of EfficientNet-Lite2, near native resolution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from streetvision_core.models.backbone import load_backbone
from streetvision_core.models.detectors._nms import MIN_SCORE, select_boxes
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER, read_card, read_weights
from streetvision_core.models.session import Session, each
from streetvision_core.types import Box, Frame, Pixels

NAME: Final = "dense-lite2"
STRIDE: Final = 8
MULTIPLE: Final = 32
STRIDES: Final = (8, 16, 32)


class MapMaker(Protocol):
    """The part of a backbone this detector needs."""

    def maps(self, images: npt.NDArray[np.uint8], strides: Sequence[int] = ...) -> dict[int, npt.NDArray[np.float32]]:
        """Feature maps by stride."""


def fit_size(width: int, height: int, shortest: int, longest: int) -> tuple[int, int]:
    """The network's input size for a frame: the long side within [shortest, longest], both multiples of 32.

    Example:
        >>> fit_size(224, 224, 640, 1344), fit_size(4032, 3024, 640, 1344), fit_size(722, 406, 640, 1344)
        ((640, 640), (1344, 1024), (736, 416))
    """
    long_side = max(width, height)
    scale = min(max(long_side, shortest), longest) / long_side
    fitted = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height)]
    return fitted[0], fitted[1]


def decode_dense(
    scores: npt.NDArray[np.float32], sides: npt.NDArray[np.float32], min_score: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Turns one image's grid into candidate boxes.

    Args:
        scores: float32 [C, h, w] in [0, 1].
        sides: float32 [4, h, w], log distances from a cell's centre to left, top, right, bottom, in strides.
        min_score: cells below it in every class are left out.

    Returns:
        corners float32 [N, 4] in pixels of the network's input, and their scores float32 [N, C].
    """
    rows, columns = np.nonzero(scores.max(axis=0) >= min_score)
    reach = np.exp(sides[:, rows, columns].T) * STRIDE
    centres = (np.stack([columns, rows], axis=1).astype(np.float32) + 0.5) * STRIDE
    corners = np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1).astype(np.float32)
    return corners, scores[:, rows, columns].T


class DenseDetector:
    """Cones, drums, barriers, works signs, workers and work vehicles on shared backbone maps.

    Args:
        threads: intra-op threads of the sessions.
        backbone: a loaded EfficientNet-Lite2 to share; None loads one.
        folder: where the weights lie.
        copy: a compressed copy of the head, run in its place.
    """

    name = NAME

    def __init__(
        self,
        threads: int = 2,
        backbone: MapMaker | None = None,
        folder: Path = WEIGHTS_FOLDER,
        copy: Path | None = None,
    ) -> None:
        card = read_card(NAME, folder)
        self.version = str(card["version"])
        self._shortest, self._longest = int(card["input"]["shortest"]), int(card["input"]["longest"])
        self._threads = threads
        self._head = Session(copy or read_weights(f"{NAME}.onnx", folder), NAME, threads)
        self._backbone: MapMaker = backbone if backbone is not None else load_backbone("efficientnet-lite2", threads)

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """Finds devices.

        Args:
            frames: any number, any sizes.

        Returns:
            for each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels.
        """
        return each(self._detect, [frame.pixels for frame in frames], self._threads)

    def planes(self, frame: Frame) -> dict[str, npt.NDArray[np.float32]]:
        """The head's input for a frame: the backbone's maps by the names the head gives them."""
        return self._maps(frame.pixels)[0]

    def run(self, planes: dict[str, npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
        """The head alone: scores float32 [1, C, h, w] and sides float32 [1, 4, h, w]."""
        return self._head.run(None, planes)

    def _maps(self, pixels: Pixels) -> tuple[dict[str, npt.NDArray[np.float32]], tuple[int, int]]:
        height, width = pixels.shape[:2]
        fitted = fit_size(width, height, self._shortest, self._longest)
        shrinks = fitted[0] * fitted[1] < width * height
        image = cv2.resize(pixels, fitted, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        maps = self._backbone.maps(np.ascontiguousarray(image, np.uint8)[None], STRIDES)
        return {f"map{stride}": maps[stride] for stride in STRIDES}, fitted

    def _detect(self, pixels: Pixels) -> tuple[Box, ...]:
        height, width = pixels.shape[:2]
        maps, fitted = self._maps(pixels)
        scores, sides = self.run(maps)
        corners, candidates = decode_dense(scores[0], sides[0], MIN_SCORE)
        back = np.array([width / fitted[0], height / fitted[1]] * 2, np.float32)
        return select_boxes(corners * back, candidates, width, height)
