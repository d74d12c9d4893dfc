"""A PNG without what is no picture: text, profiles and animation are left out before anything is decompressed.

Pillow refuses a PNG whose XMP or colour profile is larger than a megabyte, or whose text has a wrong checksum. The
pixels are the same with and without.
"""

from __future__ import annotations

from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PICTURE: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"})


def only_picture(data: bytes) -> tuple[bytes, int]:
    """Leaves out every chunk that does not make the picture.

    Args:
        data: a PNG, whole or cut.

    Returns:
        The shorter PNG, and how many pictures an animation says it has (1: none).
    """
    kept, at, pictures = [SIGNATURE], len(SIGNATURE), 1
    while at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if kind == b"acTL":
            pictures = int.from_bytes(data[at + 8 : at + 12], "big")
        elif kind in _PICTURE or kind[:1].isupper():  # critical and unknown ones are for the decoder to refuse
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            break
    return b"".join(kept), pictures
