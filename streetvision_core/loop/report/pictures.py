"""Pictures small enough to live inside a page."""

from __future__ import annotations

import base64
import io
from typing import Any

from streetvision_core.types import Pixels


def thumbnail(pixels: Pixels, width: int = 320, quality: int = 72) -> str:
    """A JPEG of at most `width` pixels across, as base64; about 15 kB.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        width: pixels across; smaller pictures keep their size.
        quality: JPEG quality, 1 to 95.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((width, width * 2), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def png_of_figure(figure: Any, dots_per_inch: int = 100) -> str:
    """A matplotlib figure as base64 PNG on white; at the usual 7 x 4 inches about 30 kB."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch, bbox_inches="tight", facecolor="white")
    return base64.b64encode(buffer.getvalue()).decode()
