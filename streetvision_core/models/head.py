"""The head on the frozen backbone: linear, or a small MLP, in plain numpy at inference."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ModelError, PreprocessMismatchError
from streetvision_core.storage import atomic_write_bytes, atomic_write_json
from streetvision_core.types import FloatArray

WEIGHTS_FILE: Final = "head.safetensors"
CARD_FILE: Final = "head.json"
_FORMAT: Final = "head/1"
_CHUNK: Final = 4096

Array32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Standardise, then linear layers with ReLU between them; the last gives one logit.

    Attributes:
        mean: float32 [D], subtracted first.
        scale: float32 [D], then divided by; positive.
        weights: float32 [in, out] of each layer; one layer is a linear head, two are an MLP.
        biases: float32 [out] of each layer.
        backbone: the backbone its features come from.
        preprocessing: the preprocessing version its features come from.
        notes: JSON-ready facts about its making.
    """

    mean: Array32
    scale: Array32
    weights: tuple[Array32, ...]
    biases: tuple[Array32, ...]
    backbone: str
    preprocessing: str
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        widths = [self.mean.shape[0], *(w.shape[1] for w in self.weights if w.ndim == 2)]
        fits = len(self.weights) >= 1 and len(widths) == len(self.weights) + 1 and len(self.biases) == len(self.weights)
        fits = fits and all(w.shape[0] == widths[i] for i, w in enumerate(self.weights))
        fits = fits and all(b.shape == (widths[i + 1],) for i, b in enumerate(self.biases))
        if not fits or widths[-1] != 1 or self.scale.shape != self.mean.shape:
            raise _broken(f"layers {[w.shape for w in self.weights]} on {self.mean.shape[0]} features")
        arrays = (self.mean, self.scale, *self.weights, *self.biases)
        if not all(np.isfinite(a).all() for a in arrays) or not (self.scale > 0).all():
            raise _broken("values that are not finite, or a scale that is not positive")

    @property
    def dim(self) -> int:
        """Number of features, D."""
        return int(self.mean.shape[0])

    @property
    def kind(self) -> str:
        """`linear` or `mlp`."""
        return "linear" if len(self.weights) == 1 else "mlp"

    def predict_logit(self, features: FloatArray) -> npt.NDArray[np.float64]:
        """Logits of road work.

        Args:
            features: [N, D] from the same backbone and preprocessing.

        Returns:
            float64 [N].

        Raises:
            PreprocessMismatchError: another number of columns.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise PreprocessMismatchError(
                got=f"features of shape {features.shape}",
                allowed=f"[N, {self.dim}] from {self.backbone} {self.preprocessing}",
                action="extract the features with the head's own backbone and preprocessing",
            )
        parts = [self._forward(features[i : i + _CHUNK]) for i in range(0, len(features), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _forward(self, features: FloatArray) -> npt.NDArray[np.float64]:
        x = (np.asarray(features, np.float64) - self.mean) / self.scale
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.astype(np.float64) + bias
            if i + 1 < len(self.weights):
                x = np.maximum(x, 0.0)
        return np.asarray(x[:, 0], np.float64)

    def check(self, backbone: str, preprocessing: str) -> None:
        """Refuses features of another make.

        Raises:
            PreprocessMismatchError: backbone or preprocessing differ from the head's.
        """
        if (backbone, preprocessing) != (self.backbone, self.preprocessing):
            raise PreprocessMismatchError(
                got=f"{backbone} with {preprocessing}",
                allowed=f"{self.backbone} with {self.preprocessing}, which this head was trained on",
                action="select the profile the head belongs to, or train a new head",
            )

    def save(self, folder: Path) -> None:
        """Writes head.safetensors and head.json into `folder`."""
        from safetensors.numpy import save

        arrays = {"mean": self.mean, "scale": self.scale}
        arrays |= {f"weight.{i}": w for i, w in enumerate(self.weights)}
        arrays |= {f"bias.{i}": b for i, b in enumerate(self.biases)}
        contiguous = {name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()}
        atomic_write_bytes(folder / WEIGHTS_FILE, save(contiguous))
        card = {"format": _FORMAT, "backbone": self.backbone, "preprocessing": self.preprocessing}
        layers = {"dim": self.dim, "kind": self.kind, "layers": len(self.weights)}
        atomic_write_json(folder / CARD_FILE, card | layers | {"notes": self.notes})

    @classmethod
    def load(cls, folder: Path, *, backbone: str | None = None, preprocessing: str | None = None) -> Head:
        """Reads a head.

        Args:
            folder: where `save` wrote it.
            backbone: the backbone in use, if it is to be checked.
            preprocessing: the preprocessing in use, if it is to be checked.

        Raises:
            ModelError: files are missing or broken.
            PreprocessMismatchError: the head was made for another backbone or preprocessing.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            card = json.loads((folder / CARD_FILE).read_text())
            if card["format"] != _FORMAT:
                raise ValueError(f"format {card['format']!r}")
            arrays = load((folder / WEIGHTS_FILE).read_bytes())
            head = cls(
                mean=arrays["mean"],
                scale=arrays["scale"],
                weights=tuple(arrays[f"weight.{i}"] for i in range(card["layers"])),
                biases=tuple(arrays[f"bias.{i}"] for i in range(card["layers"])),
                backbone=card["backbone"],
                preprocessing=card["preprocessing"],
                notes=card["notes"],
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise _broken(f"{folder.name}: {error}") from error
        head.check(backbone or head.backbone, preprocessing or head.preprocessing)
        return head


def _broken(got: str) -> ModelError:
    return ModelError(
        got=got,
        allowed=f"{WEIGHTS_FILE} and {CARD_FILE} of a {_FORMAT} with finite layers that fit and end in one logit",
        action="train the head again, or choose another model version",
    )
