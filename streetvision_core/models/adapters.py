"""Which code runs a model of which name: one open table, and nothing imported before it is used.

A new adapter is one more line: its role, the names it serves, and `module:function`, a function of (name, settings).

Example:
    >>> find_adapter("backbone", "efficientnet-lite2").loader
    'streetvision_core.models.backbone:from_settings'
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.settings import Settings

Role = Literal["backbone", "detector", "vlm", "video_vlm", "image_text", "ocr"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """How models of some names are loaded.

    Attributes:
        role: what the adapter is used as.
        names: a name, or a pattern with `*`.
        loader: `module:function`; called with (name, settings).
        package: must be installed; empty where a plain installation is enough.
        extra: the extra that installs it.
    """

    role: Role
    names: str
    loader: str
    package: str = ""
    extra: str = ""


_MODELS: Final = "streetvision_core.models"

ADAPTERS: Final[tuple[Adapter, ...]] = (
    Adapter("backbone", "efficientnet-lite2", f"{_MODELS}.backbone:from_settings"),
    Adapter("backbone", "timm/*dinov3*", f"{_MODELS}.dinov3:from_timm", "timm", "gpu"),
    Adapter("backbone", "facebook/dinov3-vit*", f"{_MODELS}.dinov3:from_transformers", "transformers", "gpu"),
    Adapter("backbone", "lora/*", f"{_MODELS}.dinov3:from_lora", "peft", "gpu"),
    Adapter("detector", "dense-lite2", f"{_MODELS}.detectors:from_settings"),
    Adapter("detector", "yolo12n", f"{_MODELS}.detectors:from_settings"),
    Adapter("detector", "*-onnx", f"{_MODELS}.detectors.exported:from_settings"),
    Adapter("detector", "*-int8", f"{_MODELS}.detectors.exported:from_settings"),
    Adapter("detector", "rfdetr-*", f"{_MODELS}.detectors.rfdetr:from_settings", "rfdetr", "gpu"),
    Adapter("detector", "Roboflow/rf-detr-*", f"{_MODELS}.detectors.rfdetr:from_settings", "transformers", "gpu"),
    Adapter("detector", "yolo[12]*", f"{_MODELS}.detectors.yolo:from_settings", "ultralytics", "detectors"),
    Adapter("vlm", "zai-org/GLM-4*V*", f"{_MODELS}.vlm:from_settings"),
    Adapter("vlm", "allenai/Molmo2-*", f"{_MODELS}.vlm:from_settings"),
    Adapter("video_vlm", "allenai/Molmo2-*", f"{_MODELS}.vlm:from_settings"),
    Adapter("video_vlm", "zai-org/GLM-4*V*", f"{_MODELS}.vlm:from_settings"),
    Adapter("image_text", "*/siglip*", f"{_MODELS}.image_text:from_settings", "transformers", "gpu"),
    Adapter("image_text", "*/clip-*", f"{_MODELS}.image_text:from_settings", "transformers", "gpu"),
    Adapter("ocr", "rapidocr", f"{_MODELS}.ocr:from_settings"),
    Adapter("ocr", "*/Florence-2-*", f"{_MODELS}.florence:from_settings", "transformers", "gpu"),
)
"""The first line that matches wins."""


def find_adapter(role: Role, name: str) -> Adapter:
    """Looks an adapter up.

    Raises:
        ModelError: no adapter of this role serves the name.
        MissingExtraError: its package is not installed.
    """
    found = next((a for a in ADAPTERS if a.role == role and fnmatchcase(name, a.names)), None)
    if found is None:
        names = [a.names for a in ADAPTERS if a.role == role]
        raise ModelError(
            got=f"{role} {name!r}, which no adapter serves",
            allowed=", ".join(names) if names else f"no {role}: the profile `embedded` leaves the stage out",
            action="select a profile or set the model's name to one of them; SV_PROFILE=embedded needs none",
            role=role,
            name=name,
        )
    if found.package and find_spec(found.package) is None:
        raise MissingExtraError(found.package, found.extra)
    return found


def load_adapter(role: Role, name: str, settings: Settings) -> Any:
    """Loads a model with its adapter.

    Args:
        role: what it is used as.
        name: the model's name in the profile.
        settings: for threads, device, precision and folders.

    Raises:
        ModelError: no such adapter, or its model is not usable.
        MissingExtraError: its package is not installed.
    """
    module, function = find_adapter(role, name).loader.split(":")
    return getattr(import_module(module), function)(name, settings)
