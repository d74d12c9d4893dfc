"""The first picture of a GIF as a GIF of its own: comments and later pictures are left out."""

from __future__ import annotations

from typing import Final

MAX_BLOCKS: Final = 500_000
"""Of at most 255 bytes each; a file of 20 MB cut as encoders cut it has 80,000."""
_EXTENSION: Final = 0x21
_IMAGE: Final = 0x2C
_CONTROL: Final = 0xF9
_TABLE: Final = 0x80


def first_picture(data: bytes) -> tuple[bytes, bool] | None:
    """Cuts the first picture out.

    Args:
        data: a GIF, whole or cut.

    Returns:
        The shorter GIF, and whether another picture follows; None if it is made of more than `MAX_BLOCKS` blocks.
    """
    walker = _Walker(data)
    start = 13 + _table(data[10:11])
    kept, at, pictures = [data[:start]], start, 0
    while at < len(data) and pictures < 2:
        kind = data[at]
        if kind == _EXTENSION:
            end = walker.skip(at + 2)
            if data[at + 1 : at + 2] == bytes([_CONTROL]) and not pictures:
                kept.append(data[at:end])
        elif kind == _IMAGE:
            end = walker.skip(at + 11 + _table(data[at + 9 : at + 10]))
            pictures += 1
            if pictures == 1:
                kept.append(data[at:end])
        else:
            break
        if walker.left < 0:
            return None
        at = end
    return b"".join(kept) + b";", pictures > 1


def _table(flags: bytes) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & _TABLE else 0


class _Walker:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.left = MAX_BLOCKS

    def skip(self, at: int) -> int:
        """Where a chain of blocks that begins here ends."""
        while at < len(self._data) and self._data[at] and self.left >= 0:
            at += self._data[at] + 1
            self.left -= 1
        return at + 1
