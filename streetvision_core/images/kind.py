"""Whether bytes are a picture or a video, by their first bytes: neither a name nor a decoder is asked."""

from __future__ import annotations

from typing import Final, Literal

MediaKind = Literal["image", "video"]

_IMAGES: Final = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",  # TIFF
    b"MM\x00*",
    b"\x00\x00\x00\x0cjP  ",  # JPEG 2000
    b"\xff\x0a",  # JPEG XL
    b"\x00\x00\x00\x0cJXL ",
)
_VIDEOS: Final = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # WMV (ASF)
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG-1 and -2 video
)
_IMAGE_BRANDS: Final = frozenset(b"heic heix heim heis hevc hevx mif1 msf1 avif avis".split())
"""ISO base media files that hold pictures (HEIF, AVIF); every other brand is a video."""
_MOVIE_BOXES: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""What an old QuickTime file without a brand may begin with."""
_SYNC: Final = 0x47
_TS_PACKETS: Final = ((0, 188), (4, 192))
"""Offset of the first sync byte and length of a packet: transport streams, and those of camcorders (MTS)."""
_SYNCS_SEEN: Final = 3


def sniff_kind(data: bytes) -> MediaKind | None:
    """What kind of media bytes begin like, or None.

    Example:
        >>> sniff_kind(bytes.fromhex("ffd8ffe0")), sniff_kind(bytes(4) + b"ftypmp42"), sniff_kind(b"hello")
        ('image', 'video', None)
    """
    if data.startswith(_IMAGES) or (data[:2] == b"BM" and data[6:10] == bytes(4)):
        return "image"
    if data.startswith(_VIDEOS) or _is_transport_stream(data):
        return "video"
    if data[:4] == b"RIFF":
        return {b"WEBP": "image", b"AVI ": "video"}.get(data[8:12])  # type: ignore[return-value]
    if data[4:8] == b"ftyp":
        return "image" if data[8:12] in _IMAGE_BRANDS else "video"
    return "video" if data[4:8] in _MOVIE_BOXES else None


def _is_transport_stream(data: bytes) -> bool:
    return any(
        len(data) > first + length and all(byte == _SYNC for byte in data[first::length][:_SYNCS_SEEN])
        for first, length in _TS_PACKETS
    )
