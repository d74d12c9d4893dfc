"""Stage-1 features: one row per frame, of one width whatever the image's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import Preprocessor
from streetvision_core.models.backbone import Backbone
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


_RECIPES: Final[dict[str, Callable[[Rows], Rows]]] = dict.fromkeys(GLOBAL_AND_MAX, global_and_max)


def feature_dim(backbone: Backbone) -> int:
    """Width D of a feature row."""
    return 2 * backbone.dim


def extract(frames: Sequence[Frame], backbone: Backbone, preprocessor: Preprocessor) -> Rows:
    """Features of frames.

    Args:
        frames: images of any size.
        backbone: the frozen backbone.
        preprocessor: its version decides the recipe; features of different versions never mix.

    Returns:
        float32 [N, D], D = 2 x backbone.dim.

    Raises:
        ModelError: this preprocessing has no feature recipe.
    """
    recipe = _RECIPES.get(preprocessor.name)
    if recipe is None:
        raise ModelError(
            got=f"preprocessing {preprocessor.name!r}",
            allowed=", ".join(_RECIPES),
            action="set models.preprocessing to one of them",
        )
    rows = [recipe(backbone.embed(preprocessor.views(frame.pixels))) for frame in frames]
    return np.stack(rows) if rows else np.zeros((0, feature_dim(backbone)), np.float32)
