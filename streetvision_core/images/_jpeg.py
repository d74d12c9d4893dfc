"""A JPEG without what is no picture, and how many scans it has.

A small progressive file with thousands of scans keeps a decoder busy for minutes, so scans are counted; but only those
of the picture: a motion photo carries a whole video behind the end of its picture, a profile may hold any bytes. Text,
profiles and thumbnails are left out, because Pillow takes a JPEG for broken when one of them is cut short.
"""

from __future__ import annotations

import re
from typing import Final

_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7\x01]", re.DOTALL)
"""Decoders look for the next marker in this way: stuffed zeros, fill bytes and restarts are passed."""
_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_KEPT: Final = {0xE0: (b"JFIF\x00", 14), 0xE1: (b"Exif\x00\x00", 0), 0xEE: (b"Adobe", 12)}
"""By these (with at least so many bytes) a decoder knows how colours are coded, and which side is up."""
MAX_SEGMENTS: Final = 10_000
"""Of a file; cameras write about twenty, a profile of 16 MB takes 255."""


def only_picture(data: bytes) -> tuple[bytes, int] | None:
    """Leaves out metadata, and what stands behind the picture.

    Args:
        data: a JPEG, whole or cut.

    Returns:
        The shorter JPEG, and an upper bound on its scans; None if it has more than `MAX_SEGMENTS` segments.
    """
    kept, copied, at = [], 0, 2
    first: int | None = None
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, at)
        kind = _END if found is None else data[found.start() + 1]
        if found is None or kind == _END:
            end = len(data) if found is None else found.end()
            kept.append(data[copied:end])
            # inside compressed data the marker cannot occur by chance
            return b"".join(kept), 0 if first is None else data.count(b"\xff\xda", first, end)
        at = found.end()
        if kind == _START:
            continue
        if kind == _SCAN and first is None:
            first = found.start()
        at += max(2, int.from_bytes(data[at : at + 2], "big"))
        if _is_metadata(kind, data[found.end() + 2 : at]):
            kept.append(data[copied : found.start()])
            copied = at
    return None


def _is_metadata(kind: int, body: bytes) -> bool:
    if kind == _COMMENT:
        return True
    start, least = _KEPT.get(kind, (b"", 0))
    return kind in _APPLICATION and not (start and body.startswith(start) and len(body) >= least)
