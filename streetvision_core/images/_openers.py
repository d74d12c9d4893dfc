"""Encoded bytes become an opened picture of Pillow, its size known and no pixel decoded yet.

Pillow's plugins are called directly, so neither its registry nor `Image.MAX_IMAGE_PIXELS` is touched. What is no
picture (comments, profiles, a video behind it, later pictures) is cut off or ignored before a plugin sees it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from PIL import Image

from streetvision_core.images import _gif, _jpeg, _png
from streetvision_core.images._refusals import SAVE_ANEW, RefusedError
from streetvision_core.images._webp import webp_size
from streetvision_core.images.sniff import ImageFormat

MAX_JPEG_SCANS: Final = 100
"""Cameras write 1 scan, progressive encoders about 10."""
_TIFF_SUBFILE: Final = 254
_TIFF_TILE: Final = (322, 323)
_TIFF_DNG: Final = 50_706


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture whose header was read.

    Attributes:
        image: Pillow's, not loaded.
        pictures: how many the file holds; 0 where it is several and nobody counted.
        moving: whether they are an animation, or else pages.
    """

    image: Image.Image
    pictures: int = 1
    moving: bool = True


def open_picture(kind: ImageFormat, data: bytes, check_size: Callable[[tuple[int, int]], None]) -> Opened:
    """Opens a picture.

    Args:
        kind: the format, from `sniff_format`.
        data: the file.
        check_size: raises if a canvas of this width and height must not be made.

    Raises:
        RefusedError: it breaks a bound or rule of its format.
        Exception: whatever a plugin raises for a broken file.
    """
    opened = _OPENERS[kind](data, check_size)
    check_size(opened.image.size)
    return opened


_Check = Callable[[tuple[int, int]], None]


def _open_jpeg(data: bytes, check: _Check) -> Opened:
    from PIL import JpegImagePlugin

    cut = _jpeg.only_picture(data)
    if cut is None:
        raise RefusedError("a JPEG of very many segments", "a JPEG as cameras write it", large=True)
    if cut[1] > MAX_JPEG_SCANS:
        raise RefusedError("a JPEG of very many scans", f"at most {MAX_JPEG_SCANS} scans", large=True)
    # the plain class reads the first picture of a multi-picture file (MPO), which is the photo itself
    return Opened(JpegImagePlugin.JpegImageFile(io.BytesIO(cut[0])))


def _open_png(data: bytes, check: _Check) -> Opened:
    from PIL import PngImagePlugin

    shorter, pictures = _png.only_picture(data)
    return Opened(PngImagePlugin.PngImageFile(io.BytesIO(shorter)), pictures)


def _open_webp(data: bytes, check: _Check) -> Opened:
    from PIL import WebPImagePlugin

    size = webp_size(data)  # the plugin allocates two canvases when it opens
    if size is None:
        raise ValueError("a broken WebP header")
    check(size)
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    return Opened(image, image.n_frames)


def _open_gif(data: bytes, check: _Check) -> Opened:
    from PIL import GifImagePlugin

    check((int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")))
    cut = _gif.first_picture(data)
    if cut is None:
        raise RefusedError("a GIF of very many blocks", "a GIF as encoders write it", large=True)
    return Opened(GifImagePlugin.GifImageFile(io.BytesIO(cut[0])), 0 if cut[1] else 1)


def _open_bmp(data: bytes, check: _Check) -> Opened:
    from PIL import BmpImagePlugin

    return Opened(BmpImagePlugin.BmpImageFile(io.BytesIO(data)))


def _open_tiff(data: bytes, check: _Check) -> Opened:
    from PIL import TiffImagePlugin

    image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    tags = image.tag_v2
    # the first picture of a camera's raw file is a thumbnail, which must not be taken for the photo
    if _TIFF_DNG in tags or int(tags.get(_TIFF_SUBFILE, 0)) & 1:
        raise RefusedError(
            "a camera raw file (DNG, NEF, ARW or the like)", "a photo", "develop it and save it as JPEG or PNG"
        )
    tile = tuple(int(tags.get(tag, 0)) for tag in _TIFF_TILE)
    if all(tile):
        check((tile[0], tile[1]))
    return Opened(image, 0 if getattr(image, "is_animated", False) else 1, moving=False)


def _open_avif(data: bytes, check: _Check) -> Opened:
    from PIL import AvifImagePlugin

    image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    return Opened(image, image.n_frames)


def _open_heif(data: bytes, check: _Check) -> Opened:
    try:
        from pi_heif.as_plugin import HeifImageFile
    except ImportError as error:  # some leave it out for its licence (LGPL)
        raise RefusedError("HEIC, and no package pi-heif", "HEIC with pi-heif installed", SAVE_ANEW) from error
    image = HeifImageFile(io.BytesIO(data))
    return Opened(image, image.n_frames, moving=False)


_OPENERS: Final[Mapping[ImageFormat, Callable[[bytes, _Check], Opened]]] = MappingProxyType(
    {
        "JPEG": _open_jpeg,
        "PNG": _open_png,
        "WEBP": _open_webp,
        "GIF": _open_gif,
        "BMP": _open_bmp,
        "TIFF": _open_tiff,
        "AVIF": _open_avif,
        "HEIF": _open_heif,
    }
)
