"""What an encoded image claims to be, read from its first bytes before any decoder allocates memory.

Pillow opens JPEG and PNG lazily, but its WebP plugin allocates two full canvases on open, so the canvas size is read
here first. The number of JPEG scans is counted as well: a small progressive file with thousands of scans keeps a
decoder busy for minutes.
"""

from __future__ import annotations

from typing import Final, Literal

ImageFormat = Literal["JPEG", "PNG", "WEBP"]

_START_OF_SCAN: Final = b"\xff\xda"


def sniff_format(data: bytes) -> ImageFormat | None:
    """The format by its magic bytes, or None for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a WebP canvas, or None if the header is broken (WebP container specification)."""
    if len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def count_jpeg_scans(data: bytes) -> int:
    """An upper bound on the scans of a JPEG; inside compressed data the marker cannot occur by chance."""
    return data.count(_START_OF_SCAN)
