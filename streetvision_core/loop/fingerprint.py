"""One sha256 over everything a step depends on; the same fingerprint means the step need not run again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import streetvision_core
from streetvision_core.storage import file_sha256

_ABSENT = "absent"
_NOT_SOURCE = {".md"}
_COMPILED = "__pycache__"


def step_fingerprint(
    notebook: Mapping[str, Any],
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Path],
    *,
    settings_sha256: str,
    upstream: Mapping[str, str],
    package: Path | None = None,
) -> str:
    """Hex sha256 over notebook source, parameters, inputs, settings, package source and the steps before.

    Args:
        notebook: the notebook's content; outputs, execution counts and metadata other than tags do not count.
        parameters: plain parameter values.
        inputs: pattern to the file or folder it names; one that does not exist counts as absent.
        settings_sha256: digest of the settings.
        upstream: name of each needed step to the digest of what it left.
        package: source folder; None takes the installed package.
    """
    parts = {
        "notebook": [[c["cell_type"], "".join(c["source"]), c["metadata"].get("tags", [])] for c in notebook["cells"]],
        "parameters": dict(parameters),
        "inputs": {name: tree_sha256(path) for name, path in inputs.items()},
        "settings": settings_sha256,
        "upstream": dict(upstream),
        "package": package_sha256(package or Path(streetvision_core.__file__).parent),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def tree_sha256(path: Path) -> str:
    """Digest of a file's bytes, or of a folder's file names and bytes; `absent` if there is nothing."""
    if path.is_file():
        return _file_sha256(path)
    if not path.is_dir():
        return _ABSENT
    return _names_and_bytes(path, (file for file in path.rglob("*") if file.is_file()))


def package_sha256(folder: Path) -> str:
    """Digest of a package's source and weights, without documents and compiled files."""
    files = (file for file in folder.rglob("*") if file.suffix not in _NOT_SOURCE and _COMPILED not in file.parts)
    return _names_and_bytes(folder, (file for file in files if file.is_file()))


def _names_and_bytes(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{_file_sha256(file)}\n".encode())
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    try:
        status = path.stat()
        return _cached_sha256(os.fspath(path), status.st_size, status.st_mtime_ns, status.st_ino)
    except FileNotFoundError:  # a temporary file of another process, gone since the listing
        return _ABSENT


@lru_cache(maxsize=65536)
def _cached_sha256(path: str, _size: int, _mtime_ns: int, _inode: int) -> str:
    """Within one process a file of the same size, time and inode is hashed once."""
    return file_sha256(Path(path))
