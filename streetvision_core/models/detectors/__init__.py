"""Stage 2: two small detectors of different families, and the pairing of what both see.

Example:
    >>> detector_names()
    ['dense-lite2', 'yolo12n']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from streetvision_core.errors import ModelError
from streetvision_core.models.detectors.matching import iou_matrix, match_boxes
from streetvision_core.settings import Settings
from streetvision_core.types import Box, Frame


class Detector(Protocol):
    """What every detector offers."""

    @property
    def name(self) -> str:
        """The registry name."""

    @property
    def version(self) -> str:
        """The version of its weights, from their card."""

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        """For each frame at most 50 boxes with score >= 0.05, best first, in the frame's pixels."""


def load_detector(name: str, threads: int = 2, backbone: Any = None) -> Detector:
    """Loads a detector by name.

    Args:
        name: one of `detector_names()`.
        threads: intra-op threads of its sessions.
        backbone: a loaded backbone that `dense-lite2` may share; other detectors need none.

    Raises:
        ModelError: unknown name.
        ManifestError: its weights are missing or not the ones in the manifest.
    """
    if name not in _LOADERS:
        raise ModelError(
            got=f"detector {name!r}",
            allowed=", ".join(detector_names()),
            action="set models.detectors in the profile to some of them",
            name=name,
        )
    return _LOADERS[name](threads, backbone)


def from_settings(name: str, settings: Settings) -> Detector:
    """Loads an embedded detector as the settings have it."""
    return load_detector(name, settings.models.threads)


def detector_names() -> list[str]:
    """The detectors that can be loaded here, sorted."""
    return sorted(_LOADERS)


def _load_dense(threads: int, backbone: Any) -> Detector:
    from streetvision_core.models.detectors._dense import DenseDetector

    return DenseDetector(threads, backbone)


def _load_yolo(threads: int, _backbone: Any) -> Detector:
    from streetvision_core.models.detectors._yolo import YoloDetector

    return YoloDetector(threads)


_LOADERS: Final[dict[str, Callable[[int, Any], Detector]]] = {"dense-lite2": _load_dense, "yolo12n": _load_yolo}

__all__ = ["Detector", "detector_names", "from_settings", "iou_matrix", "load_detector", "match_boxes"]
