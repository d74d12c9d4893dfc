"""DINOv3 as a frozen backbone, through timm or through transformers, with or without a LoRA adapter.

Both give the same feature: the class token beside the mean of the patch tokens, after the last norm, float32 [2 C]. The
tokens are read from the sequence itself: timm's pooled output is the mean unless it is told otherwise, and its
registers stand between the class token and the patches, as in transformers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ManifestError, MissingExtraError, ModelError
from streetvision_core.models.backbone import Views
from streetvision_core.models.hub import resolve
from streetvision_core.models.torch_models import device_of, dtype_of, precision_of
from streetvision_core.settings import Settings

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
LORA_PREFIX: Final = "lora/"
CARD: Final = "card.json"
_BATCH: Final = {"cpu": 4, "cuda": 64}


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded vision transformer and how its tokens are laid out.

    Attributes:
        model: the torch module.
        tokens: from normalised pixels [N, 3, H, W] to normed tokens [N, prefix + patches, C].
        prefix: tokens before the patches: the class token and the registers.
        width: C.
        patch: side of a patch in pixels.
        mean: of each channel, for pixels in [0, 1].
        std: of each channel.
        implementation: `timm` or `transformers`.
    """

    model: Any
    tokens: Callable[[Any, Any], Any]
    prefix: int
    width: int
    patch: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    implementation: str

    def features(self, pixels: Any) -> Any:
        """Class token | mean patch token, [N, 2 C], of normalised pixels [N, 3, H, W]; gradients pass."""
        import torch

        tokens = self.tokens(self.model, pixels)
        return torch.cat([tokens[:, 0], tokens[:, self.prefix :].mean(dim=1)], dim=1)

    def normalise(self, views: Views, device: str, dtype: Any) -> Any:
        """Pixels uint8 [N, H, W, 3] as the network wants them."""
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(views)).to(device).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return ((pixels - mean) / std).to(dtype)


class TokenBackbone:
    """A vision transformer whose feature is class token | mean patch token; several threads may use one object.

    Args:
        name: stored with every feature and head.
        network: the loaded transformer.
        device: `cpu` or `cuda`.
        dtype: torch's.
    """

    recipe = "mean-of-views"

    def __init__(self, name: str, network: Network, device: str, dtype: Any) -> None:
        self.name = name
        self.network = network
        self.dim = 2 * network.width
        self._device, self._dtype = device, dtype
        self._lock = threading.Lock()  # one card, one forward pass at a time: a second only doubles the memory
        network.model.to(device=device, dtype=dtype).eval()

    def embed(self, views: Views) -> npt.NDArray[np.float32]:
        """Embeds views.

        Args:
            views: uint8 [N, H, W, 3] RGB, H and W multiples of the patch (16).

        Returns:
            float32 [N, 2 C].
        """
        rows = [self._run(views[i : i + self._batch], self.network.features) for i in self._starts(views)]
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def maps(self, images: Views, strides: Sequence[int] = (16,)) -> dict[int, npt.NDArray[np.float32]]:
        """The patch tokens as a map.

        Args:
            images: uint8 [N, H, W, 3] RGB, H and W multiples of the patch.
            strides: only the patch's own.

        Returns:
            by stride: float32 [N, C, H/patch, W/patch].
        """
        patch = self.network.patch
        if tuple(strides) != (patch,):
            raise ModelError(f"maps of stride {tuple(strides)} from {self.name}", f"({patch},)", f"ask for ({patch},)")
        parts = [self._run(images[i : i + self._batch], self._patches) for i in self._starts(images)]
        tokens = np.concatenate(parts)
        rows, columns = images.shape[1] // patch, images.shape[2] // patch
        return {patch: tokens.transpose(0, 2, 1).reshape(len(images), self.network.width, rows, columns)}

    @property
    def _batch(self) -> int:
        return _BATCH[self._device]

    def _starts(self, views: Views) -> range:
        return range(0, len(views), self._batch)

    def _patches(self, pixels: Any) -> Any:
        return self.network.tokens(self.network.model, pixels)[:, self.network.prefix :]

    def _run(self, views: Views, make: Callable[[Any], Any]) -> npt.NDArray[np.float32]:
        import torch

        check_views(views, self.network.patch)
        with self._lock, torch.inference_mode():
            made = make(self.network.normalise(views, self._device, self._dtype))
        return np.asarray(made.float().cpu().numpy(), np.float32)


def check_views(views: Views, patch: int) -> None:
    """Raises `ModelError` unless views are uint8 [N, H, W, 3] with sides that are multiples of the patch."""
    fits = views.dtype == np.uint8 and views.ndim == 4 and views.shape[3] == 3
    if not fits or views.shape[1] % patch or views.shape[2] % patch:
        raise ModelError(
            got=f"views {views.dtype} {views.shape}",
            allowed=f"uint8 [N, H, W, 3] RGB, H and W multiples of {patch}",
            action="set models.preprocessing to letterbox-S/1 or letterbox-flip-S/1, S = 224, 240, … 512",
        )


def from_timm(name: str, settings: Settings) -> TokenBackbone:
    """A backbone from a folder in timm's layout: config.json and model.safetensors."""
    return _backbone(name, open_timm(resolve(name, settings)), settings)


def from_transformers(name: str, settings: Settings) -> TokenBackbone:
    """A backbone from a folder in transformers' layout."""
    return _backbone(name, open_transformers(resolve(name, settings)), settings)


def from_lora(name: str, settings: Settings) -> TokenBackbone:
    """A backbone with the LoRA adapter that `training.lora` made, merged into its weights.

    Args:
        name: `lora/NAME`; the folder's card names the backbone below it.
        settings: for folders, device and precision.
    """
    folder = resolve(name, settings)
    card = read_card(folder)
    network = open_network(str(card["base"]), settings)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtraError("peft", "gpu") from error
    merged = PeftModel.from_pretrained(network.model, str(folder)).merge_and_unload()
    return _backbone(f"{name}@{card['version']}", replace(network, model=merged), settings)


def open_network(name: str, settings: Settings) -> Network:
    """The network of a DINOv3 id, by whichever library its folder is made for."""
    opened = open_timm if name.startswith("timm/") else open_transformers
    return opened(resolve(name, settings))


def open_timm(folder: Path) -> Network:
    """Reads a folder in timm's layout.

    Raises:
        MissingExtraError: timm is not installed.
        ModelError: the folder is not such a model.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "gpu") from error
    try:
        model: Any = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0, global_pool="token")
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise _broken(folder, error) from error
    cfg = model.pretrained_cfg
    return Network(
        model=model,
        tokens=lambda m, x: m.forward_features(x),
        prefix=int(model.num_prefix_tokens),
        width=int(model.num_features),
        patch=int(model.patch_embed.patch_size[0]),
        mean=tuple(cfg.get("mean") or IMAGENET_MEAN),
        std=tuple(cfg.get("std") or IMAGENET_STD),
        implementation="timm",
    )


def open_transformers(folder: Path) -> Network:
    """Reads a folder in transformers' layout.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: the folder is not such a model.
    """
    try:
        from transformers import DINOv3ViTModel
    except ImportError as error:
        raise MissingExtraError("transformers", "gpu") from error
    try:
        model = DINOv3ViTModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        note = folder / "preprocessor_config.json"
        shown = json.loads(note.read_text()) if note.is_file() else {}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise _broken(folder, error) from error
    return Network(
        model=model,
        tokens=lambda m, x: m(pixel_values=x).last_hidden_state,
        prefix=1 + int(model.config.num_register_tokens),
        width=int(model.config.hidden_size),
        patch=int(model.config.patch_size),
        mean=tuple(shown.get("image_mean") or IMAGENET_MEAN),
        std=tuple(shown.get("image_std") or IMAGENET_STD),
        implementation="transformers",
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card of what was trained here.

    Raises:
        ManifestError: it is missing or no JSON object.
    """
    try:
        card = json.loads((folder / CARD).read_text())
        return dict(card)
    except (OSError, ValueError, TypeError) as error:
        raise ManifestError(
            got=f"{folder / CARD}: {type(error).__name__} {error}",
            allowed="the card written beside the weights",
            action="train it again",
        ) from error


def _backbone(name: str, network: Network, settings: Settings) -> TokenBackbone:
    device = device_of(settings)
    return TokenBackbone(name, network, device, dtype_of(precision_of(settings, device)))


def _broken(folder: Path, error: Exception) -> ModelError:
    return ModelError(
        got=f"{folder}: {type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}",
        allowed="a DINOv3 folder with config.json and model.safetensors that belong together",
        action="run: streetvision models verify, then pull the model again",
        folder=str(folder),
    )
