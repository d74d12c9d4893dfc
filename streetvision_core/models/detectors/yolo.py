"""YOLO12 and YOLO26 of ultralytics (AGPL-3.0), built from the package's own description, weights from safetensors.

Only the network is ultralytics': its predictor would read pickles, write settings and look for updates.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.models.detectors._nms import MIN_SCORE
from streetvision_core.models.detectors._yolo import decode_yolo, letterbox
from streetvision_core.models.detectors.card import WEIGHTS, DetectorCard
from streetvision_core.models.detectors.meaning import counted_boxes, meaning_of
from streetvision_core.models.hub import resolve
from streetvision_core.models.torch_models import device_of, dtype_of, precision_of
from streetvision_core.settings import Settings
from streetvision_core.types import Box, Frame

QUIET: Final = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_CONFIG_DIR": str(Path(tempfile.gettempdir()) / "streetvision-ultralytics"),
}
"""Set before ultralytics is imported, unless they are set already: it would install packages and write to the home."""
DEFAULT_SIDE: Final = 640


class UltralyticsYolo:
    """A YOLO network with our letterbox before it and our suppression behind it.

    Args:
        name: the detector's name in the profile.
        folder: with card.json and model.safetensors.
        device: `cpu` or `cuda`.
        dtype: torch's.

    Raises:
        DetectorClassesError: its classes are not of road work.
        ModelError: weights and card do not belong together.
    """

    def __init__(self, name: str, folder: Path, device: str, dtype: Any) -> None:
        from safetensors.torch import load_file

        card = DetectorCard.read(folder)
        self.name, self.version = name, card.version
        self._meaning = meaning_of(card.classes, name)
        self._side = int(card.config.get("resolution", DEFAULT_SIDE))
        model = build(card)
        try:
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (RuntimeError, OSError) as error:
            raise ModelError(
                got=f"{folder}: {(str(error).splitlines() or [''])[0][:200]}",
                allowed=f"weights of {card.architecture} with {len(card.classes)} classes",
                action="run: streetvision models verify; then make it again with notebook 22",
            ) from error
        self._model = model.to(device=device, dtype=dtype).eval()
        self._device, self._dtype = device, dtype
        self._lock = threading.Lock()

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """For each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels."""
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Frame) -> tuple[Box, ...]:
        import torch

        image, scale, offset = letterbox(frame.pixels, self._side, self._side)
        planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
        with self._lock, torch.inference_mode():
            raw = self._model(planes.to(self._device).to(self._dtype) / 255)
        corners, scores, classes = decode((raw[0] if isinstance(raw, tuple | list) else raw)[0].float().cpu().numpy())
        corners = (corners - np.array(offset * 2, np.float32)) / np.float32(scale)
        return counted_boxes(corners, scores, classes, self._meaning, frame.width, frame.height)


def decode(
    raw: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """One image's output as corners [N, 4], scores [N] and class indices [N].

    Args:
        raw: float32 [4 + C, A] (centre, size, a score per class), or [N, 6] (corners, score, class) of networks that
            suppress by themselves, such as YOLO26.
    """
    if raw.shape[1] == 6 and raw.shape[0] > 6:
        kept = raw[raw[:, 4] >= MIN_SCORE]
        return kept[:, :4], kept[:, 4], kept[:, 5].astype(np.int64)
    corners, table = decode_yolo(raw, MIN_SCORE)
    rows, classes = np.nonzero(table >= MIN_SCORE)
    return corners[rows], table[rows, classes], classes.astype(np.int64)


def build(card: DetectorCard) -> Any:
    """The network of a card, with random weights.

    Raises:
        MissingExtraError: ultralytics is not installed.
        ModelError: the package describes no such network.
    """
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    try:
        from ultralytics.nn import tasks
    except ImportError as error:
        raise MissingExtraError("ultralytics", "detectors") from error
    network: Any = tasks.DetectionModel
    try:
        return network(f"{card.architecture}.yaml", nc=len(card.classes), verbose=False)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise ModelError(
            got=f"network {card.architecture!r}",
            allowed="one that ultralytics describes, e.g. yolo12x or yolo26x",
            action="name such a network",
        ) from error


def from_settings(name: str, settings: Settings) -> UltralyticsYolo:
    """The detector in the local folder of this name."""
    device = device_of(settings)
    return UltralyticsYolo(name, resolve(name, settings), device, dtype_of(precision_of(settings, device)))
