r"""Paths from outside become bytes or a named error, and nothing else.

Names may hold any bytes: Python keeps those that are no UTF-8 as surrogates, which no strict stream prints. `as_text`
is the form for machines, `printable` the one for people.

Example:
    >>> as_text(os.fsdecode(b"caf\xe9\n.jpg")), printable(os.fsdecode(b"caf\xe9\n.jpg"))
    ('caf\\xe9\n.jpg', 'caf\\xe9\\n.jpg')
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path
from typing import BinaryIO, Final

from streetvision_core.errors import FileMissingError, FileUnreadableError, InputError, NotAFileError, PathError
from streetvision_core.images.sniff import HEAD_BYTES, Kind, sniff

_MISSING: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
_NO_PATH: Final = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
_BREAKING: Final = ("Cc", "Zl", "Zp")
_TURNING: Final = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_SHOWN: Final = 200
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def as_text(path: str | os.PathLike[str]) -> str:
    """A path as text that can be encoded: bytes that are no UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def printable(path: str | os.PathLike[str]) -> str:
    """A path on one line: `as_text`, and what would break the line or turn its direction becomes an escape, too."""
    return "".join(c if _shows(c) else ascii(c)[1:-1] for c in as_text(path))


def _shows(character: str) -> bool:
    return unicodedata.category(character) not in _BREAKING and unicodedata.bidirectional(character) not in _TURNING


def open_file(path: Path) -> BinaryIO:
    """Opens a regular file for reading; nothing else is waited for.

    Raises:
        FileMissingError: there is none.
        NotAFileError: a folder, a pipe, a socket or a device.
        PathError: the path is too long, or its links lead nowhere.
        FileUnreadableError: the system refuses.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _not_a_file(path, mode)
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise named(error, path) from error


def read_head(path: Path) -> bytes:
    """A file's first bytes, enough for `sniff`.

    Raises:
        InputError: see `open_file`.
    """
    with open_file(path) as file:
        return _read(file, path, HEAD_BYTES)


def read_bytes(path: Path, limit: int) -> bytes:
    """A file's bytes, at most one more than `limit`, so that the caller sees that there are more.

    Raises:
        InputError: see `open_file`.
    """
    with open_file(path) as file:
        return _read(file, path, limit + 1)


def kind_of(path: Path) -> Kind:
    """What a file holds.

    Raises:
        InputError: see `open_file`.
    """
    return sniff(read_head(path))


def named(error: OSError | ValueError, path: Path) -> InputError:
    """The named error of what the system said of a path."""
    shown = printable(path)
    source = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}… ({len(shown)} characters)"
    code = error.errno if isinstance(error, OSError) else errno.EINVAL
    if code in _MISSING:
        return FileMissingError(f"no file {source}", "a file that exists", "check the path", source=source)
    if code in _NO_PATH:
        why = os.strerror(code) if isinstance(error, OSError) else str(error)
        return PathError(f"{why}: {source}", "a path the file system takes", "check the path", source=source)
    why = os.strerror(code) if code else str(error)
    action = "give yourself the right to read it" if code in (errno.EACCES, errno.EPERM) else "check the disk"
    return FileUnreadableError(f"{why}: {source}", "a file that can be read", action, source=source)


def _not_a_file(path: Path, mode: int) -> NotAFileError:
    what = next((name for holds, name in _KINDS if holds(mode)), "no regular file")
    shown = printable(path)
    action = "name the files in it" if stat.S_ISDIR(mode) else "save what comes out of it as a file first"
    return NotAFileError(f"{what}: {shown}", "a file", action, source=shown)


def _read(file: BinaryIO, path: Path, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise named(error, path) from error
