"""Bytes from outside become a `Frame` or a named error, and nothing else.

The header is judged before pixels are decoded: bytes, format, pixels, pictures. Metadata never decides over pixels:
what stands beside the picture (text, profiles, a broken EXIF, a phone's video behind it) does not make it unreadable.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from streetvision_core.errors import ImageError, ImageTooLargeError
from streetvision_core.images._openers import Opened, open_picture
from streetvision_core.images._refusals import RefusedError, above, broken, not_a_picture
from streetvision_core.images.files import printable, read_bytes
from streetvision_core.images.sniff import FORMATS, sniff, sniff_format
from streetvision_core.settings import Decode
from streetvision_core.types import Frame, Pixels

_ORIENTATION_TAG: Final = 0x0112
_ROTATIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, source: str, limits: Decode | None = None, formats: Sequence[str] = FORMATS) -> Frame:
    """Decodes one still image to RGB, upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit images are converted; transparency is dropped, as the validators' `convert("RGB")`
    does. Of an animation or of several pages the first picture is taken and `Frame.notes` says so, unless
    `decode.animation` is `refuse`.

    Args:
        data: the encoded bytes.
        source: where they came from, for messages and for `Frame.source`.
        limits: caps on bytes and pixels; the defaults of `Decode` if None.
        formats: what the caller accepts, out of `FORMATS`.

    Returns:
        The frame; `sha256` is the digest of `data`.

    Raises:
        ImageTooLargeError: too many bytes, pixels, pictures or JPEG scans.
        ImageFormatError: not one of `formats`.
        ImageBrokenError: empty, truncated or unreadable.
    """
    limits = limits or Decode()
    try:
        if not data:
            raise broken(source, "zero bytes")
        opened = _open_checked(data, limits, formats)
        notes = _notes(opened, limits)
        image = opened.image
        image.load()
        _check_size(image.size, limits)  # some decoders learn the true size only now
        pixels = np.ascontiguousarray(_to_rgb(_upright(image)))
    except (ImageError, MemoryError):
        raise
    except RefusedError as error:
        raise error.named(source) from error
    except Exception as error:  # decoders raise whatever a hostile file makes them raise
        raise broken(source, f"{type(error).__name__}: {error}") from error
    return Frame(pixels, source, hashlib.sha256(data).hexdigest(), notes)


def read_image(path: Path, limits: Decode | None = None) -> Frame:
    """Reads and decodes one file; see `decode_image`.

    Raises:
        InputError: the file is missing or cannot be read.
        ImageError: it is too large or no image we decode.
    """
    limits = limits or Decode()
    return decode_image(read_bytes(path, limits.max_bytes), printable(path), limits)


def encode_jpeg(pixels: Pixels, quality: int = 75) -> bytes:
    """JPEG bytes with Pillow's defaults (quality 75, 4:2:0), as the validators send them.

    Source: `prepare_image_synapse` in natix/protocol.py of natixnetwork/streetvision-subnet.

    Raises:
        ImageTooLargeError: empty, or a side longer than the 65,535 pixels JPEG can express.
    """
    height, width = pixels.shape[:2]
    if not (0 < height <= 65_535 and 0 < width <= 65_535):
        raise ImageTooLargeError(
            got=f"{width}x{height} pixels to encode",
            allowed="sides of 1 to 65,535 pixels",
            action="resize the image first",
        )
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _open_checked(data: bytes, limits: Decode, formats: Sequence[str]) -> Opened:
    """Opens the header only and refuses what breaks a limit."""
    if len(data) > limits.max_bytes:
        raise above(f"more than {limits.max_bytes} bytes", "max_bytes", limits.max_bytes, "bytes")
    kind = sniff_format(data)
    if kind is None or kind not in formats:
        raise not_a_picture(sniff(data), data, formats)
    return open_picture(kind, data, lambda size: _check_size(size, limits))


def _check_size(size: tuple[int, int], limits: Decode) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise above(f"{width}x{height} pixels", "max_pixels", limits.max_pixels, "pixels")
    if width * height == 0:
        raise ValueError(f"{width}x{height} pixels")


def _notes(opened: Opened, limits: Decode) -> tuple[str, ...]:
    """What the reader of an answer has to know of a file with several pictures."""
    if opened.pictures == 1:
        return ()
    count = str(opened.pictures) if opened.pictures else "several"
    what = f"an animation of {count} frames" if opened.moving else f"{count} pictures in one file"
    if limits.animation == "refuse":
        raise RefusedError(what, "one still picture", "send one, or set SV_DECODE__ANIMATION=first", large=True)
    return (f"{what}: the first was looked at",)


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # broken metadata does not make the picture unreadable
        return image
    rotation = _ROTATIONS.get(orientation) if isinstance(orientation, int) else None
    return image if rotation is None else image.transpose(rotation)


def _to_rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I"):  # I;16, I;16B, I: 16-bit grey, which convert() would clip at 255
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 65_535)
        eight_bit = ((grey + 128) // 257).astype(np.uint8)
        return np.repeat(eight_bit[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)
