"""Bytes from outside become a `Frame` or a named error, and nothing else.

The header is judged before pixels are decoded: bytes, format, pixels, frames. The plugins of Pillow are called
directly, so neither `Image.MAX_IMAGE_PIXELS` nor the warning filters are touched and any number of threads may decode.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from streetvision_core.errors import (
    ImageBrokenError,
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
    NoImagesError,
)
from streetvision_core.images._header import ImageFormat, count_jpeg_scans, sniff_format, webp_size
from streetvision_core.settings import Decode
from streetvision_core.types import Frame, Pixels

FORMATS: Final[tuple[ImageFormat, ...]] = ("JPEG", "PNG", "WEBP")
IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
FOREIGN_SUFFIXES: Final = frozenset({".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2"})
"""Pictures all the same, though none that we read: where a person asks about a folder, they are not passed over."""

MAX_JPEG_SCANS: Final = 100
"""Cameras write 1 scan, progressive encoders about 10."""

_OPENERS: Final[dict[ImageFormat, Callable[[io.BytesIO], Image.Image]]] = {
    # The plain JPEG class reads the first picture of a multi-picture file (MPO), which is the photo itself.
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
}

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
    does. Animated PNG and WebP are refused: we answer for one picture and would not know which.

    Args:
        data: the encoded bytes.
        source: where they came from, for messages and for `Frame.source`.
        limits: caps on bytes and pixels; the defaults of `Decode` if None.
        formats: what the caller accepts, out of JPEG, PNG and WEBP.

    Returns:
        The frame; `sha256` is the digest of `data`.

    Raises:
        ImageTooLargeError: too many bytes, pixels, frames or JPEG scans.
        ImageFormatError: not one of `formats`.
        ImageBrokenError: empty, truncated or unreadable.
    """
    limits = limits or Decode()
    try:
        image = _open_checked(data, source, limits, formats)
        image.load()
        pixels = np.ascontiguousarray(_to_rgb(_upright(image)))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever a hostile file makes them raise
        raise _broken(source, f"{type(error).__name__}: {error}") from error
    return Frame(pixels, source, hashlib.sha256(data).hexdigest())


def read_image(path: Path, limits: Decode | None = None) -> Frame:
    """Reads and decodes one file; see `decode_image`.

    Raises:
        ImageError: the file is missing, unreadable, too large or no image we decode.
    """
    limits = limits or Decode()
    try:
        if not path.is_file():
            raise _broken(str(path), "no such file")
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise _broken(str(path), error.strerror or str(error)) from error
    return decode_image(data, str(path), limits)


def list_images(folder: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """All JPEG, PNG and WebP files below a folder by their suffix, sorted; hidden files are left out.

    Args:
        folder: searched to the bottom.
        suffixes: lower case, with the dot.

    Raises:
        NoImagesError: the folder is missing or holds none.
    """
    found = sorted(
        path
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )
    if not found:
        raise NoImagesError(
            got=f"no image in {folder}" if folder.is_dir() else f"no folder {folder}",
            allowed=f"a folder with files ending in {', '.join(sorted(IMAGE_SUFFIXES))}",
            action="check the path, or fetch the images first",
            folder=str(folder),
        )
    return found


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


def _open_checked(data: bytes, source: str, limits: Decode, formats: Sequence[str]) -> Image.Image:
    """Opens the header only and refuses what breaks a limit."""
    if not data:
        raise _broken(source, "zero bytes")
    if len(data) > limits.max_bytes:
        raise _too_large(source, f"more than {limits.max_bytes} bytes", f"at most {limits.max_bytes} bytes")
    kind = sniff_format(data)
    if kind is None or kind not in formats:
        raise ImageFormatError(
            got=f"{kind or 'unknown format'} from {source} (first bytes {data[:8].hex()})",
            allowed=", ".join(formats),
            action="convert the image to one of them",
            source=source,
        )
    if kind == "WEBP":
        size = webp_size(data)
        if size is None:
            raise _broken(source, "a broken WebP header")
        _check_size(size, source, limits)
    if kind == "JPEG" and count_jpeg_scans(data) > MAX_JPEG_SCANS:
        raise _too_large(source, "a JPEG of very many scans", f"at most {MAX_JPEG_SCANS} scans")
    image = _OPENERS[kind](io.BytesIO(data))
    _check_size(image.size, source, limits)
    frames = 1 if kind == "JPEG" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise _too_large(source, f"an animation of {frames} frames", "one still picture")
    return image


def _check_size(size: tuple[int, int], source: str, limits: Decode) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise _too_large(source, f"{width}x{height} pixels", f"at most {limits.max_pixels} pixels")
    if width * height == 0:
        raise _broken(source, f"{width}x{height} pixels")


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


def _broken(source: str, what: str) -> ImageBrokenError:
    return ImageBrokenError(
        got=f"{what} from {source}",
        allowed="a complete JPEG, PNG or WebP image",
        action="send or store the image again",
        source=source,
    )


def _too_large(source: str, what: str, allowed: str) -> ImageTooLargeError:
    return ImageTooLargeError(
        got=f"{what} from {source}",
        allowed=allowed,
        action="send a smaller still picture, or raise the limits in the settings section 'decode'",
        source=source,
    )
