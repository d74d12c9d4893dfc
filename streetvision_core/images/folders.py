"""Folders: every picture and video below one, by what the files hold, and what was not looked at and why.

Example:
    >>> for found in walk(Path("photos")):                              # doctest: +SKIP
    ...     print(found.path, found.kind or found.reason)
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from streetvision_core.errors import FileMissingError, InputError, NoImagesError
from streetvision_core.images.files import kind_of, named, printable
from streetvision_core.images.sniff import EMPTY, TEXT, Kind, Media

_PICTURES: Final = ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif .mpo"
_VIDEOS: Final = ".mp4 .m4v .mov .qt .mkv .webm .avi .ts .mts .m2ts .mpg .mpeg .vob .wmv .asf .flv .3gp .3g2 .ogv"
_CALLED: Final[dict[str, Media]] = {
    **dict.fromkeys(_PICTURES.split(), "image"),
    **dict.fromkeys(_VIDEOS.split(), "video"),
}
"""What a file is called, by its suffix; what it holds decides."""
_ALSO_PROGRAMS: Final = (".ts", ".mts")
"""TypeScript is called like a transport stream."""
HIDDEN: Final = "hidden"

Place = tuple[int, int]
"""Device and inode, which stay the same whatever links lead to a folder."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """One file that was named or lies below a folder: exactly one of the three is set.

    Attributes:
        path: the file, or a folder that was not entered.
        kind: what it holds, where it is wanted.
        reason: why it was left out.
        error: why it cannot be read, though it was named or is called like a picture or a video.
    """

    path: Path
    kind: Kind | None = None
    reason: str = ""
    error: InputError | None = None

    @property
    def is_video(self) -> bool:
        """Whether a video decoder is to look at it: it holds one, or it is called like one and holds no picture."""
        media = "other" if self.kind is None else self.kind.media
        return media in ("video", "sound") or (media == "other" and _called(self.path) == "video")


def walk(folder: Path, media: Container[Media] = ("image", "video")) -> Iterator[Found]:
    """Every entry below a folder, lazily, in the order of their names.

    A file is taken for what it holds. One that holds neither a picture nor a video but is called like one is taken too,
    so that whoever reads it can say what is wrong with it. Links are followed, each folder is entered once.

    Args:
        folder: searched to the bottom.
        media: what is wanted.

    Yields:
        Files with their `kind` or `error`, and what is left out with its `reason`.

    Raises:
        FileMissingError: there is no such folder.
        InputError: it cannot be read.
    """
    try:
        place = folder.stat()
        entries = _entries(folder)
    except (OSError, ValueError) as error:
        raise named(error, folder) from error
    yield from _walk(entries, media, {(place.st_dev, place.st_ino)})


def find(paths: Iterable[Path]) -> Iterator[Found]:
    """Files that were named, and what lies below folders that were named, lazily and in this order.

    A named file is looked at whatever it holds; if it cannot be read, its reader says why.

    Args:
        paths: files and folders.

    Yields:
        See `walk`.
    """
    for path in paths:
        try:
            if path.is_dir():
                yield from walk(path)
            else:
                yield Found(path, kind_of(path))
        except InputError as error:
            yield Found(path, error=error)
        except (OSError, ValueError) as error:
            yield Found(path, error=named(error, path))


def list_images(folder: Path) -> list[Path]:
    """All pictures below a folder, sorted; what is left out is logged.

    Args:
        folder: searched to the bottom.

    Raises:
        NoImagesError: the folder is missing or holds none.
    """
    found: list[Path] = []
    left_out: Counter[str] = Counter()
    try:
        for entry in walk(folder, ("image",)):
            if entry.reason:
                left_out[entry.reason] += 1
            else:
                found.append(entry.path)
    except FileMissingError as error:
        raise no_images(f"no folder {printable(folder)}", folder) from error
    left_out.pop(HIDDEN, None)
    if left_out:
        _log.warning("files not looked at", folder=printable(folder), reasons=dict(left_out))
    if not found:
        raise no_images(f"no image in {printable(folder)}", folder)
    return found


def no_images(got: str, folder: Path) -> NoImagesError:
    """The error of a folder that holds no picture."""
    return NoImagesError(
        got=got,
        allowed="a folder with pictures in it",
        action="check the path, or fetch the images first",
        folder=printable(folder),
    )


def _walk(entries: Iterator[os.DirEntry[str]], media: Container[Media], seen: set[Place]) -> Iterator[Found]:
    """Depth first, with a stack of its own: folders may lie deeper than Python calls itself."""
    stack = [entries]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        path = Path(entry.path)
        if entry.name.startswith("."):
            yield Found(path, reason=HIDDEN)
            continue
        try:
            if not entry.is_dir():
                yield _file(path, media)
                continue
            place = entry.stat()
            if (place.st_dev, place.st_ino) in seen:
                yield Found(path, reason="a folder that was entered already")
                continue
            stack.append(_entries(path))
            seen.add((place.st_dev, place.st_ino))
        except OSError as error:
            yield Found(path, reason=(error.strerror or str(error)).lower())


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return iter(sorted(entries, key=lambda entry: entry.name))


def _file(path: Path, media: Container[Media]) -> Found:
    called = _called(path)
    try:
        kind = kind_of(path)
    except InputError as error:
        if path.is_symlink() and isinstance(error, FileMissingError):
            return Found(path, reason="a link to nothing")
        if called in media:
            return Found(path, error=error)
        return Found(path, reason=error.got.split(":")[0].lower())
    if kind.media in media:
        return Found(path, kind)
    program = kind == TEXT and path.suffix.lower() in _ALSO_PROGRAMS
    if called in media and kind.media not in ("image", "video") and not program:
        return Found(path, kind)
    return Found(path, reason="empty file" if kind == EMPTY else kind.name)


def _called(path: Path) -> Media:
    return _CALLED.get(path.suffix.lower(), "other")
