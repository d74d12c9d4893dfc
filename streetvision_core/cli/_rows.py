"""Answers on stdout as they come: lines for people, CSV for spreadsheets, one JSON document for machines."""

from __future__ import annotations

import base64
import csv
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

Row = dict[str, Any]
COLUMNS: Final = (
    "path",
    "media",
    "roadwork",
    "p_roadwork",
    "exit_stage",
    "certified",
    "width",
    "height",
    "seconds",
    "model_version",
    "notes",
    "annotated",
    "error",
)
_FORMULA: Final = ("=", "+", "-", "@")


def name_of(path: Path) -> Row:
    """A file's name in an answer: text that can be encoded, and its bytes where text does not tell them."""
    from streetvision_core.images.files import as_text

    named: Row = {"path": as_text(path)}
    if named["path"] != str(path):
        named["path_base64"] = base64.b64encode(os.fsencode(path)).decode()
    return named


class Sink(Protocol):
    """Takes answers one by one."""

    def photo(self, row: Row) -> None:
        """One picture's answer."""

    def video(self, row: Row) -> None:
        """One video's answer."""

    def error(self, row: Row) -> None:
        """One file that could not be read."""

    def close(self, end: Row) -> None:
        """Nothing more comes; `end` holds the summary and what was left out."""


class Lines:
    """One line a picture, the name last and never cut."""

    def __init__(self) -> None:
        self._headed = self._warned = False

    def photo(self, row: Row) -> None:
        """See `Sink`."""
        from streetvision_core.images.files import printable
        from streetvision_core.types import is_unsure

        if not self._headed:
            self._headed = True
            write("road work      p  stage           ms  file\n")
        unsure = "?" if is_unsure(row["p_roadwork"]) else ""
        word = ("yes" if row["roadwork"] else "no") + unsure
        start = f"{word:<9} {row['p_roadwork']:>6.3f}  {row['exit_stage']:<10} {row['seconds'] * 1000:>7.0f}  "
        notes = f"  ({'; '.join(row['notes'])})" if row["notes"] else ""
        write(f"{start}{printable(row['path'])}{notes}\n")

    def video(self, row: Row) -> None:
        """See `Sink`."""
        from streetvision_core.cascade.clip import NOT_CALIBRATED
        from streetvision_core.cli import _video

        known = {NOT_CALIBRATED} if self._warned else set()  # true of every video, so it is said once
        self._warned = True
        _video.show({**row, "notes": [note for note in row["notes"] if note not in known]})

    def error(self, row: Row) -> None:
        """Said on stderr already."""

    def close(self, end: Row) -> None:
        """The summary is said on stderr."""


class Csv:
    """One row a file, errors and videos too, with a header."""

    def __init__(self) -> None:
        self._writer = csv.DictWriter(_Stdout(), COLUMNS, extrasaction="ignore", lineterminator="\n")
        self._writer.writeheader()

    def photo(self, row: Row) -> None:
        """See `Sink`."""
        self._write(row, "photo")

    def video(self, row: Row) -> None:
        """See `Sink`."""
        self._write({**row, "seconds": row["compute_seconds"]}, "video")

    def error(self, row: Row) -> None:
        """See `Sink`."""
        self._write({**row, "error": f"{row['error']}: {row['got']}"}, "")

    def close(self, end: Row) -> None:
        """Every row is written."""

    def _write(self, row: Row, media: str) -> None:
        path = row["path"]
        # a spreadsheet runs a cell that begins like a formula; ./ in front leaves the path what it is
        safe = f"./{path}" if path.startswith(_FORMULA) else path
        self._writer.writerow({**row, "path": safe, "media": media, "notes": "; ".join(row.get("notes", ()))})


class Json:
    """One document, whose results are written as they come and which is whole however the run ends."""

    def __init__(self, head: Row) -> None:
        self._videos: list[Row] = []
        self._errors: list[Row] = []
        self._comma = ""
        write("{\n" + "".join(f"{_dump(k)}: {_dump(v)},\n" for k, v in head.items()) + '"results": [')

    def photo(self, row: Row) -> None:
        """See `Sink`."""
        with uninterrupted():
            write(f"{self._comma}\n{_dump(row)}")
            self._comma = ","

    def video(self, row: Row) -> None:
        """See `Sink`."""
        self._videos.append(row)

    def error(self, row: Row) -> None:
        """See `Sink`."""
        self._errors.append(row)

    def close(self, end: Row) -> None:
        """See `Sink`."""
        rest = {"videos": self._videos, "errors": self._errors, **end}
        write("\n],\n" + ",\n".join(f"{_dump(k)}: {_dump(v)}" for k, v in rest.items()) + "\n}\n")


class _Stdout:
    """What `csv` writes to; the stream of the moment, flushed row by row."""

    def write(self, text: str) -> int:
        write(text)
        return len(text)


def write(text: str) -> None:
    """Text on stdout, at once and whole: Ctrl-C counts when it is written."""
    with uninterrupted():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts Ctrl-C off until what is within is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=str)
