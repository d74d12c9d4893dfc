"""Stage 4 of the big profiles: Florence-2 reads text and says where it stands.

Both readers hand their text to the same keyword reader (`keywords.py`), so a sign counts alike whoever read it.

Example:
    >>> reader = from_settings("florence-community/Florence-2-large", settings)    # doctest: +SKIP
    >>> reader.read_regions(frame)                                                 # doctest: +SKIP
    (TextRegion(text='ROAD WORK', corners=((102.0, 40.0), (180.0, 40.0), (180.0, 61.0), (102.0, 61.0))),)
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.errors import ModelError
from streetvision_core.models.hub import resolve
from streetvision_core.models.ocr import Place, best_regions, in_reading_order, readable_part
from streetvision_core.models.torch_models import device_of, first_line, load_pretrained, precision_of
from streetvision_core.settings import Settings
from streetvision_core.types import Box, Frame, Pixels

TASK: Final = "<OCR_WITH_REGION>"
MAX_TOKENS: Final = 256
BEAMS: Final = 3
_SPECIAL: Final = ("</s>", "<s>", "<pad>")


@dataclass(frozen=True, slots=True)
class TextRegion:
    """A piece of text and its four corners (x, y) in pixels of the frame, from the top left clockwise."""

    text: str
    corners: tuple[tuple[float, float], ...]


class FlorenceReader:
    """`Florence2ForConditionalGeneration`, loaded when it first reads.

    Args:
        name: in the profile.
        folder: a checkpoint: config, safetensors, processor and tokenizer files.
        device: `cpu` or `cuda`.
        precision: `fp32`, `fp16` or `bf16`.
    """

    def __init__(self, name: str, folder: Path, device: str = "cpu", precision: str = "fp32") -> None:
        self.name, self.folder = name, folder
        self._device, self._precision = device, precision
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def read(self, frame: Frame, regions: Sequence[Box] | None = None) -> tuple[str, ...]:
        """Pieces of text in reading order; see `OcrReader.read`."""
        return tuple(found.text for found in self.read_regions(frame, regions))

    def read_regions(self, frame: Frame, regions: Sequence[Box] | None = None) -> tuple[TextRegion, ...]:
        """Text with its place.

        Args:
            frame: the image.
            regions: boxes of signs, of which the best few are read, enlarged; None or none: the frame's upper part.
        """
        boxes: Sequence[Box | None] = best_regions(regions) if regions else [None]
        places = [readable_part(frame.pixels, box) for box in boxes]
        return tuple(found for place in places for found in self._read_place(place))

    def _read_place(self, place: Place) -> list[TextRegion]:
        height, width = place.pixels.shape[:2]
        answer = self._generate(place.pixels, width, height)
        found = [
            TextRegion(text, tuple(place.to_frame(x, y) for x, y in zip(quad[0::2], quad[1::2], strict=True)))
            for said, quad in zip(answer["labels"], answer["quad_boxes"], strict=True)
            if (text := _clean(said))
        ]
        return in_reading_order(found, [np.asarray(region.corners) for region in found])

    def _generate(self, pixels: Pixels, width: int, height: int) -> dict[str, list[Any]]:
        import torch
        from PIL import Image

        with self._lock:
            model, processor = self._load()
            try:
                inputs = processor(text=TASK, images=Image.fromarray(np.ascontiguousarray(pixels)), return_tensors="pt")
                inputs = inputs.to(model.device)
                inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
                with torch.inference_mode():
                    ids = model.generate(**inputs, max_new_tokens=MAX_TOKENS, num_beams=BEAMS, do_sample=False)
            except (RuntimeError, ValueError, IndexError) as error:
                raise ModelError(
                    got=f"{self.name} failed: {first_line(error)}",
                    allowed="a checkpoint whose processor and weights belong together, and enough memory",
                    action=f"run: streetvision models verify {self.name}",
                    name=self.name,
                ) from error
            text = processor.batch_decode(ids, skip_special_tokens=False)[0]
            answer = processor.post_process_generation(text=text, task=TASK, image_size=(width, height))
        return dict(answer[TASK])

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            from transformers import AutoProcessor, Florence2ForConditionalGeneration

            self._loaded = load_pretrained(
                Florence2ForConditionalGeneration,
                AutoProcessor,
                self.folder,
                name=self.name,
                device=self._device,
                precision=self._precision,
            )
        return self._loaded


def from_settings(name: str, settings: Settings) -> FlorenceReader:
    """The reader a profile names, from the local folder of models; nothing is loaded yet.

    Raises:
        ModelError: it is not there.
    """
    device = device_of(settings)
    return FlorenceReader(name, resolve(name, settings), device, precision_of(settings, device))


def _clean(text: str) -> str:
    for special in _SPECIAL:
        text = text.replace(special, "")
    return text.strip()
