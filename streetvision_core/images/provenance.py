"""Where a made image comes from, inside its own file, so that it can never pass for a photo."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Final

from PIL import Image, PngImagePlugin

from streetvision_core.errors import ImageFormatError
from streetvision_core.types import Pixels

KEY: Final = "streetvision"
_START: Final = b"\xff\xd8"
_COMMENT: Final = b"\xff\xfe"
_LONGEST: Final = 65_533


def to_png(pixels: Pixels, provenance: Mapping[str, Any]) -> bytes:
    """A PNG with provenance in a text chunk named `streetvision`."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, json.dumps(provenance, sort_keys=True))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def into_jpeg(jpeg_bytes: bytes, provenance: Mapping[str, Any]) -> bytes:
    """The same JPEG with provenance in a comment; the pixels are not coded again.

    Raises:
        ImageFormatError: not a JPEG, or more than 64 KB of provenance.
    """
    text = f"{KEY}:{json.dumps(provenance, sort_keys=True)}".encode()
    if not jpeg_bytes.startswith(_START) or len(text) > _LONGEST:
        raise ImageFormatError(
            got=f"{len(text)} bytes of provenance for a file that starts with {jpeg_bytes[:2]!r}",
            allowed=f"a JPEG and at most {_LONGEST} bytes",
            action="write a PNG instead",
        )
    return _START + _COMMENT + (len(text) + 2).to_bytes(2, "big") + text + jpeg_bytes[2:]


def read_provenance(data: bytes) -> dict[str, Any] | None:
    """What `to_png` or `into_jpeg` wrote; None for an image that does not say."""
    with Image.open(io.BytesIO(data)) as image:
        text = image.info.get(KEY) if image.format == "PNG" else image.info.get("comment", b"")
    if isinstance(text, bytes):
        name, _, text = text.decode(errors="replace").partition(":")
        if name != KEY:
            return None
    return dict(json.loads(text)) if text else None
