"""What `predict` was given, found while the first answers are already made."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from streetvision_core.errors import InputError

if TYPE_CHECKING:
    from streetvision_core.images.folders import Found

_LISTS: Final = (".csv", ".tsv", ".txt")
_END: Final = None


class Inputs:
    """Files that were named and those below named folders, in order; lists (CSV) name more.

    Args:
        paths: files, folders and lists of paths.
        without: a folder whose files are left out, such as the one that annotated copies go to.
    """

    def __init__(self, paths: Sequence[Path], without: Path | None = None) -> None:
        self._paths, self._without = paths, None if without is None else without.resolve()
        self._found: SimpleQueue[Found | BaseException | None] = SimpleQueue()
        self.seen = 0
        self.complete = False
        threading.Thread(target=self._fill, name="sv-folders", daemon=True).start()

    @property
    def total(self) -> int | None:
        """How many there are to answer; None while folders are still being read."""
        return self.seen if self.complete else None

    def __iter__(self) -> Iterator[Found]:
        while (found := self._found.get()) is not _END:
            if isinstance(found, BaseException):
                raise found
            yield found

    def _fill(self) -> None:
        from streetvision_core.images.folders import Found, find

        try:
            for found in find(self._expanded()):
                if self._without is not None and self._without in found.path.resolve().parents:
                    found = Found(found.path, reason="written by --save-annotated")
                self.seen += not found.reason
                self._found.put(found)
        except BaseException as error:
            self._found.put(error)
        self.complete = True
        self._found.put(_END)

    def _expanded(self) -> Iterator[Path]:
        from streetvision_core.images.lists import read_paths

        for path in self._paths:
            if path.suffix.lower() in _LISTS and _is_text(path):
                yield from read_paths(path)
            else:
                yield path


def _is_text(path: Path) -> bool:
    """Whether a file that is called like a list may be one; its reader says what is wrong with any other."""
    from streetvision_core.images.files import kind_of
    from streetvision_core.images.sniff import TEXT, UNKNOWN

    try:
        return kind_of(path) in (TEXT, UNKNOWN)  # UTF-16 is no text at first sight
    except InputError:
        return False
