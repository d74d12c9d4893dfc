"""How the two stage-2 detectors were made: data, augmentation, training, export, measurement.

Torch and ultralytics are loaded only when a step is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_HOMES: Final = {"FULL": "_recipe", "QUICK": "_recipe", "Recipe": "_recipe"}
_MODULES: Final = ("gallery", "making", "report", "steps")

__all__ = ["FULL", "QUICK", "Recipe", "gallery", "making", "report", "steps"]


def __getattr__(name: str) -> Any:
    """Loads what stands behind a public name at first use, because it imports torch."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
