"""What was computed once and depends on nothing but its inputs is taken again as long as they are the same.

Beside each file lies a note: a digest of everything the file was made from, and the file's own digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streetvision_core.storage import atomic_write_json, file_sha256

Batch = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""A model's input, or its inputs by name."""


def digest_of(*parts: object) -> str:
    """sha256 of what something is made from.

    Args:
        parts: arrays or mappings of them by content, shape and type; files by content; everything else by its `repr`.
    """
    whole = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part):
            whole.update(len(piece).to_bytes(8, "little") + piece)
    return whole.hexdigest()


def noted(path: Path, made_from: str) -> dict[str, Any] | None:
    """The note of a file if it was made from the same and is as it was written, else None."""
    try:
        note = json.loads(_note(path).read_text())
        same = note["made_from"] == made_from and note["sha256"] == file_sha256(path)
        return dict(note["facts"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note(path: Path, made_from: str, **facts: object) -> None:
    """Writes the note of a file that was just written, with facts to be told again."""
    atomic_write_json(_note(path), {"made_from": made_from, "sha256": file_sha256(path), "facts": facts})


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.made.json")


def _pieces(part: object) -> list[bytes]:
    if isinstance(part, Path):
        return [file_sha256(part).encode()]
    if isinstance(part, np.ndarray):
        return [str((part.dtype, part.shape)).encode(), np.ascontiguousarray(part).tobytes()]
    if isinstance(part, Mapping):
        return [piece for name, value in part.items() for piece in (str(name).encode(), *_pieces(value))]
    return [repr(part).encode()]
