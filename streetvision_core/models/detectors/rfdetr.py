"""RF-DETR, through its own package or through transformers; both read safetensors from a local folder.

`rfdetr` weights are what notebook 21 makes: card.json, model.safetensors. A folder with config.json is transformers'.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.models.detectors._nms import MIN_SCORE
from streetvision_core.models.detectors.card import WEIGHTS, DetectorCard
from streetvision_core.models.detectors.meaning import Meaning, counted_boxes, meaning_of
from streetvision_core.models.hub import resolve
from streetvision_core.models.torch_models import device_of, dtype_of, precision_of
from streetvision_core.settings import Settings
from streetvision_core.types import Box, Frame

VARIANTS: Final = {"nano": "RFDETRNano", "small": "RFDETRSmall", "medium": "RFDETRMedium", "large": "RFDETRLarge"}
BILINEAR: Final = 2
"""Pillow's number of it."""


class RfDetr:
    """RF-DETR of the `rfdetr` package.

    Args:
        name: the detector's name in the profile.
        folder: with card.json and model.safetensors.
        device: `cpu` or `cuda`.
        dtype: torch's; half precision only on a GPU.

    Raises:
        DetectorClassesError: its classes are not of road work.
        ModelError: weights and card do not belong together.
    """

    def __init__(self, name: str, folder: Path, device: str, dtype: Any) -> None:
        import torch
        from safetensors.torch import load_file

        card = DetectorCard.read(folder)
        self.name, self.version = name, card.version
        self._meaning = meaning_of(card.classes, name)
        self._model = build(card, device)
        try:
            self._model.model.model.load_state_dict(load_file(folder / WEIGHTS))
        except (RuntimeError, OSError) as error:
            raise _broken(folder, error) from error
        self._model.model.model.eval()
        if dtype != torch.float32:
            self._model.inference(compile=False, dtype=dtype)
        self._card, self._lock = card, threading.Lock()

    def portable(self) -> tuple[DetectorCard, Any]:
        """The card of an exported copy, and the package's model, whose own `export` writes the ONNX file."""
        held = self._model
        config = _detr(held.model.resolution, held.means, held.stds, held.model.postprocess.num_select)
        return replace(self._card, config=config), held

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """For each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels."""
        if not frames:
            return []
        with self._lock:
            found = self._model.predict(
                [frame.pixels for frame in frames], threshold=MIN_SCORE, include_source_image=False
            )
        pairs = zip(found if isinstance(found, list) else [found], frames, strict=True)
        return [
            counted_boxes(one.xyxy, one.confidence, one.class_id, self._meaning, frame.width, frame.height)
            for one, frame in pairs
        ]


class TransformersRfDetr:
    """RF-DETR of transformers.

    Args:
        name: the detector's name in the profile.
        folder: with config.json, preprocessor_config.json and model.safetensors.
        device: `cpu` or `cuda`.
        dtype: torch's.

    Raises:
        DetectorClassesError: its classes are not of road work.
        ModelError: the folder is not such a model.
    """

    def __init__(self, name: str, folder: Path, device: str, dtype: Any) -> None:
        try:
            from transformers import RfDetrForObjectDetection, RfDetrImageProcessor
        except ImportError as error:
            raise MissingExtraError("transformers", "gpu") from error
        try:
            model = RfDetrForObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=dtype
            )
            self._processor = RfDetrImageProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise _broken(folder, error) from error
        labels = model.config.id2label
        self._classes = tuple(str(labels[i]) for i in sorted(labels))
        self._meaning: Meaning = meaning_of(self._classes, name)
        self.name, self.version = name, str(getattr(model.config, "_commit_hash", None) or "local")
        self._model, self._device, self._dtype = model.to(device).eval(), device, dtype
        self._lock = threading.Lock()

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """For each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels."""
        import torch

        if not frames:
            return []
        pixels = [np.ascontiguousarray(frame.pixels) for frame in frames]
        with self._lock, torch.inference_mode():
            inputs = self._processor(images=pixels, return_tensors="pt").to(self._device)
            inputs["pixel_values"] = inputs["pixel_values"].to(self._dtype)
            outputs = self._model(**inputs)
            sizes = [(frame.height, frame.width) for frame in frames]
            found = self._processor.post_process_object_detection(outputs, threshold=MIN_SCORE, target_sizes=sizes)
        return [self._boxes(one, frame) for one, frame in zip(found, frames, strict=True)]

    def portable(self) -> tuple[DetectorCard, Any]:
        """The card of an exported copy, and the torch network pixels -> (boxes, logits) to export.

        Raises:
            ModelError: its processor prepares images in a way that the exported copy has no form for.
        """
        shown = self._processor
        size = (int(shown.size["height"]), int(shown.size["width"])) if "height" in shown.size else (0, 1)
        if size[0] != size[1] or not shown.do_normalize or int(shown.resample) != BILINEAR:
            raise ModelError(
                got=f"{self.name}, whose processor has size {shown.size}, normalising {shown.do_normalize}, "
                f"resampling {shown.resample}",
                allowed="a square size, bilinear, normalised",
                action="serve it through transformers",
            )
        config = _detr(size[0], shown.image_mean, shown.image_std, self._model.config.num_queries)
        return DetectorCard("rf-detr", self._classes, self.version, config), self._model

    def _boxes(self, one: dict[str, Any], frame: Frame) -> tuple[Box, ...]:
        corners, scores, labels = (one[key].float().cpu().numpy() for key in ("boxes", "scores", "labels"))
        return counted_boxes(corners, scores, labels.astype(np.int64), self._meaning, frame.width, frame.height)


def build(card: DetectorCard, device: str, weights: str | None = None) -> Any:
    """An `rfdetr` network of a card's architecture and classes.

    Args:
        card: what to build.
        device: `cpu` or `cuda`.
        weights: the package's own checkpoint to start training from; None starts from random numbers.

    Raises:
        MissingExtraError: rfdetr is not installed.
        ModelError: no such architecture.
    """
    try:
        import rfdetr
    except ImportError as error:
        raise MissingExtraError("rfdetr", "gpu") from error
    if card.architecture not in VARIANTS:
        raise ModelError(f"RF-DETR {card.architecture!r}", ", ".join(VARIANTS), "name one of them")
    made = getattr(rfdetr, VARIANTS[card.architecture])
    return made(pretrain_weights=weights, num_classes=len(card.classes), device=device, **card.config)


def from_settings(name: str, settings: Settings) -> RfDetr | TransformersRfDetr:
    """The detector in the local folder of this name."""
    folder = resolve(name, settings)
    device = device_of(settings)
    dtype = dtype_of(precision_of(settings, device))
    kind = TransformersRfDetr if (folder / "config.json").is_file() else RfDetr
    return kind(name, folder, device, dtype)


def _detr(side: int, mean: Sequence[float], std: Sequence[float], select: int) -> dict[str, Any]:
    shown = {"mean": [float(v) for v in mean], "std": [float(v) for v in std]}
    return {"ends": "detr", "side": int(side), **shown, "select": int(select)}


def _broken(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        got=f"{folder}: {type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}",
        allowed="weights, card or config of one RF-DETR",
        action="run: streetvision models verify; then make or pull it again",
        folder=str(folder),
    )
