"""Whether a picture can cost much to decode, seen without decoding it and in a time that its size bounds.

What is plain is decoded in a thread. Everything else, which is rare, is decoded in a process that can be ended: a few
hundred kilobytes can keep a decoder busy for minutes (scans over scans, millions of comments, megabytes of fill bytes).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from streetvision_core.images.sniff import sniff_format

MAX_PIXELS: Final = 16_000_000
MAX_MARKERS: Final = 512
"""A JPEG's segments, and what looks like one inside them; a camera's file has some dozens."""
MAX_SCAN_PIXELS: Final = 40_000_000
"""Pixels times scans: a progressive decoder goes over the picture once a scan."""
MAX_CHUNKS: Final = 4096
"""A PNG's chunks; encoders cut at 8 kB and more."""
_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of a frame header (SOF0 to SOF15)."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
START_OF_SCAN: Final = 0xDA


def is_plain(data: bytes) -> bool:
    """Whether a picture is cheap to decode, whatever it holds."""
    kind = sniff_format(data)
    if kind == "JPEG":
        return _is_plain_jpeg(data)
    if kind == "PNG":
        return _is_plain_png(data)
    if kind == "WEBP":
        return _is_plain_webp(data)
    return False


def _is_plain_jpeg(data: bytes) -> bool:
    values = np.frombuffer(data, np.uint8)
    after = values[1:][values[:-1] == 0xFF]
    # within compressed data 0xFF is followed by 0x00 or by a restart marker; what remains are markers
    markers = int(np.count_nonzero((after != 0) & ((after < 0xD0) | (after > 0xD7))))
    if markers > MAX_MARKERS:
        return False
    pixels, scans = _jpeg_pixels(data), int(np.count_nonzero(after == START_OF_SCAN))
    return 0 < pixels <= MAX_PIXELS and pixels * max(1, scans) <= MAX_SCAN_PIXELS


def _jpeg_pixels(data: bytes) -> int:
    """Pixels of the first frame header; 0 if there is none where one ought to be."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        code = data[at + 1]
        if code in _SIZES:
            return int.from_bytes(data[at + 5 : at + 7]) * int.from_bytes(data[at + 7 : at + 9])
        at += 2 if code in _ALONE else 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0


def _is_plain_png(data: bytes) -> bool:
    pixels = int.from_bytes(data[16:20]) * int.from_bytes(data[20:24])
    if not 0 < pixels <= MAX_PIXELS:
        return False
    at, chunks = 8, 0
    while at + 8 <= len(data):
        chunks += 1
        if chunks > MAX_CHUNKS:
            return False
        at += 12 + int.from_bytes(data[at : at + 4])
    return True


def _is_plain_webp(data: bytes) -> bool:
    """Only the simple forms; the extended one may be an animation."""
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
    elif chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)
    else:
        return False
    return 0 < width * height <= MAX_PIXELS
