"""YOLO12 and YOLO26 of ultralytics (AGPL-3.0), built from the package's own description, weights from safetensors.

Only the network is ultralytics': its predictor would read pickles, write settings and look for updates.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.models.detectors._ends import YoloEnds
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
        self._card, self._ends = card, YoloEnds(int(card.config.get("resolution", DEFAULT_SIDE)))
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

        planes = torch.from_numpy(self._ends.planes(frame))
        with self._lock, torch.inference_mode():
            raw = self._model(planes.to(self._device).to(self._dtype))
        outputs = [first(raw).float().cpu().numpy()]
        return counted_boxes(*self._ends.found(outputs, frame), self._meaning, frame.width, frame.height)

    def portable(self) -> tuple[DetectorCard, Any]:
        """The card of an exported copy, and the torch network [1, 3, side, side] -> output to export."""
        config = {"ends": "yolo", "side": self._ends.side}
        return replace(self._card, config=config), self._model


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


def first(raw: Any) -> Any:
    """A YOLO's answer; in evaluation mode some networks add what training looks at."""
    return raw[0] if isinstance(raw, tuple | list) else raw


def from_settings(name: str, settings: Settings) -> UltralyticsYolo:
    """The detector in the local folder of this name."""
    device = device_of(settings)
    return UltralyticsYolo(name, resolve(name, settings), device, dtype_of(precision_of(settings, device)))
