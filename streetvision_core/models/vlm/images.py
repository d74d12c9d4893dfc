"""Images as image-text models take them."""

from __future__ import annotations

from streetvision_core.images.preprocess import resize
from streetvision_core.types import Pixels


def to_side(pixels: Pixels, max_side: int) -> Pixels:
    """Makes an image smaller until its longer side has `max_side` pixels; never larger."""
    height, width = pixels.shape[:2]
    scale = min(1.0, max_side / max(height, width))
    return resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
