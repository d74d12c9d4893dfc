"""Frozen backbones: views in, embeddings and feature maps out.

Example:
    >>> backbone = load_backbone("efficientnet-lite2")        # doctest: +SKIP
    >>> backbone.embed(np.zeros((2, 260, 260, 3), np.uint8)).shape        # doctest: +SKIP
    (2, 1280)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from streetvision_core.errors import ModelError
from streetvision_core.models import _lite2
from streetvision_core.models.session import Session
from streetvision_core.settings import Settings, load_settings
from streetvision_core.storage import atomic_write_bytes, atomic_write_json, file_sha256

_log = structlog.get_logger()
_BATCH: Final = 4
"""Views per run: on a CPU larger batches only leave the cache."""

Views = npt.NDArray[np.uint8]
"""RGB, uint8 [N, H, W, 3]."""


class Backbone(Protocol):
    """What every backbone adapter offers."""

    @property
    def name(self) -> str:
        """The name stored with every feature and head."""

    @property
    def dim(self) -> int:
        """Width of an embedding."""

    def embed(self, views: Views) -> npt.NDArray[np.float32]:
        """Embeddings float32 [N, dim] of views uint8 [N, H, W, 3]."""

    def maps(self, images: Views, strides: Sequence[int] = ...) -> dict[int, npt.NDArray[np.float32]]:
        """Feature maps by stride, float32 [N, C, H/stride, W/stride]."""


class OnnxBackbone:
    """A backbone on ONNX Runtime; one object may be used by several threads at once.

    Args:
        name: the backbone's name.
        path: the ONNX file, made by `_lite2.build_graph`.
        threads: intra-op threads.
    """

    def __init__(self, name: str, path: Path, threads: int = 2) -> None:
        self.name = name
        self.threads = threads
        self._session = Session(path, path.name, threads)
        shapes = {output.name: output.shape for output in self._session.get_outputs()}
        self.dim = int(shapes["embedding"][1])
        self.map_channels: Mapping[int, int] = {s: int(shapes[f"map_{s}"][1]) for s in _lite2.MAP_STRIDES}

    def embed(self, views: Views) -> npt.NDArray[np.float32]:
        """Embeds views.

        Args:
            views: uint8 [N, H, W, 3] RGB.

        Returns:
            float32 [N, 1280].
        """
        parts = [self.run(["embedding"], views[i : i + _BATCH])[0] for i in range(0, len(views), _BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def maps(self, images: Views, strides: Sequence[int] = _lite2.MAP_STRIDES) -> dict[int, npt.NDArray[np.float32]]:
        """Feature maps of whole images.

        Args:
            images: uint8 [N, H, W, 3] RGB; H and W multiples of 32 keep the maps aligned with the pixels.
            strides: which maps; fewer deep ones cost less.

        Returns:
            by stride s: float32 [N, C, ceil(H/s), ceil(W/s)], C = 48, 120, 352 for s = 8, 16, 32.
        """
        return dict(zip(strides, self.run([f"map_{s}" for s in strides], images), strict=True))

    def run(self, outputs: Sequence[str], images: Views) -> list[npt.NDArray[np.float32]]:
        """Runs only what the named outputs of the graph need (see `_lite2.build_graph`)."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ModelError(
                got=f"views {images.dtype} {images.shape}",
                allowed="uint8 [N, H, W, 3] RGB",
                action="make them with images.preprocess.get_preprocessor(...).views",
            )
        import onnxruntime as ort

        options = ort.RunOptions()
        options.only_execute_path_to_fetches = True
        return self._session.run(outputs, {"images": images}, options)


def load_backbone(name: str, threads: int = 2, cache: Path | None = None) -> OnnxBackbone:
    """Loads a backbone by name.

    Args:
        name: one of `backbone_names()`.
        threads: intra-op threads.
        cache: folder of the converted graph; None takes data/cache of the settings.

    Raises:
        ModelError: unknown name, or its package is not installed.
        ManifestError: its weights are not the pinned ones.
    """
    if name not in _LOADERS:
        raise ModelError(
            got=f"backbone {name!r}",
            allowed=", ".join(backbone_names()),
            action="select a profile whose backbone is one of them",
            name=name,
        )
    folder = cache if cache is not None else load_settings().paths.resolve("data") / "cache"
    return _LOADERS[name](threads, folder)


def from_settings(name: str, settings: Settings) -> OnnxBackbone:
    """Loads an embedded backbone as the settings have it."""
    return load_backbone(name, settings.models.threads, settings.paths.resolve("data") / "cache")


def backbone_names() -> list[str]:
    """The backbones that can be loaded here, sorted."""
    return sorted(_LOADERS)


def _load_lite2(threads: int, cache: Path) -> OnnxBackbone:
    return OnnxBackbone("efficientnet-lite2", cached_lite2(cache), threads)


def cached_lite2(cache: Path) -> Path:
    """The ONNX file of EfficientNet-Lite2, made at first use and again when it is not what was written."""
    stem = f"efficientnet-lite2-{_lite2.WEIGHTS_SHA256[:12]}-g{_lite2.GRAPH_VERSION}"
    path, note = cache / f"{stem}.onnx", cache / f"{stem}.json"
    if path.is_file() and note.is_file() and _digest_noted(note) == file_sha256(path):
        return path
    _log.info("backbone.converting", backbone="efficientnet-lite2", path=str(path))
    atomic_write_bytes(path, _lite2.build_graph(_lite2.read_weights()))
    atomic_write_json(note, {"sha256": file_sha256(path), "weights_sha256": _lite2.WEIGHTS_SHA256})
    return path


def _digest_noted(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text())["sha256"])
    except (ValueError, KeyError, TypeError):
        return None


_LOADERS: Final[dict[str, Callable[[int, Path], OnnxBackbone]]] = {"efficientnet-lite2": _load_lite2}
