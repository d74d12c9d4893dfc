"""Tables as people have them: a CSV with commas, semicolons or tabs, with a byte order mark or without."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final

from streetvision_core.errors import DataError
from streetvision_core.images.files import printable, read_bytes

_MOST_BYTES: Final = 256 * 2**20
_SEPARATORS: Final = ",;\t|"
_COLUMNS: Final = ("path", "file", "filename", "image", "photo", "video")
"""A list's column of paths is called like one of these, else it is the first."""


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The header and the rows of a CSV.

    Args:
        path: UTF-8 with or without a mark, UTF-16 with one, else Windows' Western code page.

    Raises:
        InputError: it cannot be read.
        DataError: it has no header.
    """
    text = _decode(read_bytes(path, _MOST_BYTES))
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_separator(text), restval="")
    header = [name.strip() for name in reader.fieldnames or ()]
    if not any(header):
        raise DataError(
            got=f"no header in {printable(path)}",
            allowed="a first line with the names of the columns",
            action="add one; a list of paths needs one column named path",
        )
    reader.fieldnames = header
    return header, [{key: value or "" for key, value in row.items() if key is not None} for row in reader]


def read_paths(path: Path) -> list[Path]:
    """The paths that a list names, relative ones counted from the list's own folder.

    Args:
        path: a CSV with a column `path` (or file, image, photo, video), or one path a line.

    Raises:
        InputError: it cannot be read.
        DataError: it names nothing.
    """
    header, rows = read_table(path)
    known = next((name for name in header if name.lower() in _COLUMNS), None)
    named = [row[known] for row in rows] if known is not None else _decode(read_bytes(path, _MOST_BYTES)).splitlines()
    found = [path.parent / line.strip() for line in named if line.strip()]
    if not found:
        raise DataError(
            got=f"no path in {printable(path)}",
            allowed="a column named path, or one path a line",
            action="write a path of a picture, a video or a folder on each line",
        )
    return found


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _separator(text: str) -> str:
    """The separator that the header has most of; Excel's own line `sep=;` is not needed."""
    header = text.lstrip().partition("\n")[0]
    return max(_SEPARATORS, key=header.count)
