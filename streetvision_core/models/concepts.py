"""Models that look for what a phrase names: SAM 3 (boxes and masks) and zero-shot detectors (boxes), for annotation.

Neither answers a query: they are slow, and their word is a proposal for the label model and the reviewer. Both are
transformers' own classes; LLMDet is a checkpoint of MM-Grounding-DINO's class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.settings import Settings
from streetvision_core.types import Box, DeviceClass, Frame

PHRASES: Final[Mapping[str, DeviceClass]] = MappingProxyType(
    {
        "traffic cone": "cone",
        "traffic barrel": "drum",
        "construction barrier": "barrier",
        "road work sign": "sign",
        "worker in safety vest": "worker",
        "excavator": "vehicle",
        "work truck": "vehicle",
    }
)
"""Noun phrases, and the class each stands for."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One object: its box, its phrase, and bool [H, W], True where it is."""

    box: Box
    phrase: str
    mask: npt.NDArray[np.bool_]


class Sam3Segmenter:
    """SAM 3 with concept prompts: the image is looked at once, each noun phrase costs one pass over its features.

    Args:
        folder: weights and processor in transformers' layout.
        name: as it stands in records.
        device: as in torch; None takes a GPU where there is one.
        threshold: lowest score of an object.
    """

    def __init__(self, folder: Path, name: str = "sam3", device: str | None = None, threshold: float = 0.3) -> None:
        _check(folder, name)
        self.folder, self.name, self.threshold, self._device = folder, name, threshold, device
        self.version = name

    def segment(self, frame: Frame, phrases: Mapping[str, DeviceClass] = PHRASES) -> list[Region]:
        """All objects that the phrases name, best score first."""
        import torch

        processor, model = self._loaded
        device = model.device
        image = processor(images=frame.pixels, return_tensors="pt").to(device)
        regions: list[Region] = []
        with torch.inference_mode():
            seen = model.get_vision_features(pixel_values=image["pixel_values"].to(model.dtype))
            for phrase, label in phrases.items():
                text = processor(text=phrase, return_tensors="pt").to(device)
                outputs = model(vision_embeds=seen, input_ids=text["input_ids"], attention_mask=text["attention_mask"])
                [found] = processor.post_process_instance_segmentation(
                    outputs, threshold=self.threshold, target_sizes=[(frame.height, frame.width)]
                )
                regions += _regions(found, phrase, label)
        return sorted(regions, key=lambda region: -region.box.score)

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """The boxes alone, so that it can stand wherever a detector can."""
        return [tuple(region.box for region in self.segment(frame)) for frame in frames]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import Sam3Model, Sam3Processor

        processor = Sam3Processor.from_pretrained(str(self.folder), local_files_only=True)
        return processor, _load(Sam3Model, self.folder, self._device)


class GroundingDetector:
    """A zero-shot detector: MM-Grounding-DINO or LLMDet, asked for all phrases at once.

    Args:
        folder: weights and processor in transformers' layout.
        name: as it stands in records.
        device: as in torch; None takes a GPU where there is one.
        threshold: lowest score of a box.
    """

    def __init__(self, folder: Path, name: str, device: str | None = None, threshold: float = 0.3) -> None:
        _check(folder, name)
        self.folder, self.name, self.threshold, self._device = folder, name, threshold, device
        self.version = name

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """For each frame its boxes, best first, in the frame's pixels."""
        return [self._detect(frame) for frame in frames]

    def _detect(self, frame: Frame) -> tuple[Box, ...]:
        import torch

        processor, model = self._loaded
        inputs = processor(images=frame.pixels, text=[list(PHRASES)], return_tensors="pt").to(model.device)
        with torch.inference_mode():
            outputs = model(**inputs)
        [found] = processor.post_process_grounded_object_detection(
            outputs,
            inputs["input_ids"],
            threshold=self.threshold,
            text_threshold=0.0,
            target_sizes=[(frame.height, frame.width)],
        )
        boxes = [
            _box(corners, label, score)
            for corners, score, text in zip(
                found["boxes"].tolist(), found["scores"].tolist(), found["text_labels"], strict=True
            )
            if (label := _class_of(str(text))) is not None
        ]
        return tuple(sorted(boxes, key=lambda box: -box.score))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        processor = AutoProcessor.from_pretrained(str(self.folder), local_files_only=True)
        return processor, _load(AutoModelForZeroShotObjectDetection, self.folder, self._device)


def load_segmenter(name: str, settings: Settings) -> Sam3Segmenter:
    """The segmenter a profile names, from the model store."""
    from streetvision_core.models.hub import resolve

    return Sam3Segmenter(resolve(name, settings), name)


def _class_of(text: str) -> DeviceClass | None:
    """The class of a phrase that the model has pieced together; the longest phrase with a word of it wins."""
    words = set(text.lower().split())
    shared = {phrase: len(words & set(phrase.split())) for phrase in PHRASES}
    best = max(shared, key=lambda phrase: shared[phrase])
    return PHRASES[best] if shared[best] else None


def _regions(found: Mapping[str, Any], phrase: str, label: DeviceClass) -> list[Region]:
    rows = zip(found["boxes"].tolist(), found["scores"].tolist(), found["masks"].cpu().numpy(), strict=True)
    return [Region(_box(corners, label, score), phrase, np.asarray(mask, np.bool_)) for corners, score, mask in rows]


def _box(corners: Sequence[float], label: DeviceClass, score: float) -> Box:
    x0, y0, x1, y1 = corners
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1), label, float(min(max(score, 0.0), 1.0)))


def _load(kind: Any, folder: Path, device: str | None) -> Any:
    import torch

    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if where == "cuda" else torch.float32
    return kind.from_pretrained(str(folder), local_files_only=True, dtype=dtype).to(where).eval()


def _check(folder: Path, name: str) -> None:
    if find_spec("transformers") is None:
        raise MissingExtraError("transformers", "gpu")
    if not (folder / "config.json").is_file():
        raise ModelError(
            got=f"no config.json in {folder}",
            allowed="a folder in transformers' layout",
            action=f"run: streetvision models pull {name}",
            folder=str(folder),
        )
