"""Annotated copies, under names that nothing had before."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from streetvision_core.errors import StorageError

if TYPE_CHECKING:
    from streetvision_core.types import Frame, Verdict


def save(source: Path, frame: Frame, verdict: Verdict, roadwork: bool, folder: Path) -> Path:
    """Writes a copy with boxes and answer; no file that exists is ever written over.

    Args:
        source: the picture's file, whose name the copy gets (`street.jpg`, then `street-2.jpg`).
        frame: its pixels.
        verdict: what was answered.
        roadwork: the decision.
        folder: made if it is missing.

    Raises:
        StorageError: the folder cannot be written.
    """
    from streetvision_core.images.annotate import annotate
    from streetvision_core.images.decode import encode_jpeg
    from streetvision_core.images.files import printable

    data = encode_jpeg(annotate(frame, verdict, roadwork), quality=90)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target, handle = _free(folder, source.stem)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError as error:
        raise StorageError(
            got=f"{error.strerror} at {printable(folder)}",
            allowed="a folder that can be written",
            action="name another with --save-annotated",
            folder=printable(folder),
        ) from error
    return target


def _free(folder: Path, stem: str) -> tuple[Path, int]:
    for number in itertools.count(1):
        target = folder / (f"{stem}.jpg" if number == 1 else f"{stem}-{number}.jpg")
        try:
            return target, os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
    raise AssertionError("there is always a next number")
