"""An image-text encoder (SigLIP 2, CLIP): words and frames as rows of one space, for searching a video by words."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import MissingExtraError
from streetvision_core.settings import Settings
from streetvision_core.types import Frame

Rows = npt.NDArray[np.float32]


class ImageTextEncoder:
    """A transformers checkpoint with `get_text_features` and `get_image_features`; loaded when it is first used.

    Args:
        name: its name in the profile.
        settings: where its folder lies.
        device: for torch; None takes a GPU if there is one.
    """

    def __init__(self, name: str, settings: Settings, device: str | None = None) -> None:
        self.name = name
        self._settings = settings
        self._device = device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    def encode(self, frames: Sequence[Frame]) -> Rows:
        """Rows float32 [N, D] of frames."""
        model, processor = self._use()
        inputs = processor(images=[frame.pixels for frame in frames], return_tensors="pt")
        return self._rows(model.get_image_features, inputs)

    def encode_text(self, text: str) -> Rows:
        """A row float32 [1, D] of words."""
        _, processor = loaded = self._use()
        # SigLIP was trained on texts padded to their full length
        inputs = processor(text=[text], padding="max_length", truncation=True, return_tensors="pt")
        return self._rows(loaded[0].get_text_features, inputs)

    def _rows(self, ask: Any, inputs: Any) -> Rows:
        import torch

        with torch.inference_mode():
            made = ask(**inputs.to(self._loaded[0].device if self._loaded else "cpu"))
        rows = made if isinstance(made, torch.Tensor) else made.pooler_output
        return np.asarray(rows.float().cpu().numpy(), np.float32)

    def _use(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> tuple[Any, Any]:
        try:
            import torch
            from transformers import AutoModel, AutoProcessor
        except ImportError as error:
            raise MissingExtraError("transformers", "gpu") from error
        from streetvision_core.models.hub import resolve

        folder = resolve(self.name, self._settings)
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(device).eval()
        return model, AutoProcessor.from_pretrained(folder, local_files_only=True)


def from_settings(name: str, settings: Settings) -> ImageTextEncoder:
    """The adapter's loader; nothing is loaded yet."""
    return ImageTextEncoder(name, settings)
