"""Stage-1 features: one row per frame, of one width whatever the image's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import Preprocessor
from streetvision_core.models.backbone import Backbone
from streetvision_core.models.session import each
from streetvision_core.types import Frame

Rows = npt.NDArray[np.float32]

GLOBAL_AND_MAX: Final = (
    "global-grid-260/1",
    "global-tiles-260/1",
    "letterbox-260/1",
    "letterbox-224/1",
    "center-crop-224/1",
)
"""Preprocessing versions whose features are the global embedding beside the maximum over tiles."""


def global_and_max(embeddings: Rows) -> Rows:
    """L2-normalised embedding of the global view | element-wise maximum over the tiles' L2-normalised embeddings.

    Args:
        embeddings: float32 [V, dim], the global view first.

    Returns:
        float32 [2 dim]; an image without tiles repeats its global half.
    """
    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    tiles = unit[1:] if len(unit) > 1 else unit
    return np.concatenate([unit[0], tiles.max(axis=0)]).astype(np.float32)


def feature_dim(backbone: Backbone) -> int:
    """Width D of a feature row."""
    return backbone.dim if _averages(backbone) else 2 * backbone.dim


def extract(frames: Sequence[Frame], backbone: Backbone, preprocessor: Preprocessor) -> Rows:
    """Features of frames.

    Args:
        frames: images of any size.
        backbone: the frozen backbone. One whose `recipe` is `mean-of-views` gives the mean of its views' embeddings
            (test-time augmentation, where there are several); the others give `global_and_max`.
        preprocessor: features of different versions never mix.

    Returns:
        float32 [N, D], D = `feature_dim(backbone)`.

    Raises:
        ModelError: this preprocessing has no feature recipe for this backbone.
    """
    if _averages(backbone):
        return _mean_of_views(frames, backbone, preprocessor)
    if preprocessor.name not in GLOBAL_AND_MAX:
        raise ModelError(
            got=f"preprocessing {preprocessor.name!r}",
            allowed=", ".join(GLOBAL_AND_MAX),
            action="set models.preprocessing to one of them",
        )

    def row(frame: Frame) -> Rows:
        return global_and_max(backbone.embed(preprocessor.views(frame.pixels)))

    rows = each(row, frames, getattr(backbone, "threads", 1))
    return np.stack(rows) if rows else np.zeros((0, feature_dim(backbone)), np.float32)


def _averages(backbone: Backbone) -> bool:
    return getattr(backbone, "recipe", "global-and-max") == "mean-of-views"


def _mean_of_views(frames: Sequence[Frame], backbone: Backbone, preprocessor: Preprocessor) -> Rows:
    """All views of all frames in one call: a GPU wants large batches."""
    if not preprocessor.view_size:
        raise ModelError(
            got=f"preprocessing {preprocessor.name!r}, whose views differ in size",
            allowed="letterbox-S/1 or letterbox-flip-S/1, S = 224, 240, … 512",
            action="set models.preprocessing to one of them",
        )
    if not frames:
        return np.zeros((0, backbone.dim), np.float32)
    views = [preprocessor.views(frame.pixels) for frame in frames]
    rows = backbone.embed(np.concatenate(views))
    ends = np.cumsum([len(some) for some in views])[:-1]
    return np.stack([part.mean(axis=0) for part in np.split(rows, ends)]).astype(np.float32)
