"""Whether a file is what its name says: a pointer, an error page or half a download must not be recorded as a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_PAGE: Final = (b"<!doctype html", b"<html", b"<?xml")
_HEAD_BYTES: Final = 512
_INDEX: Final = ".safetensors.index.json"


def content_fault(path: Path) -> str:
    """What is wrong with a file's content, in a few words; empty if nothing.

    Args:
        path: an existing file of a model's folder.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        return "is empty"
    if head.startswith(LFS_POINTER):
        return f"is a git-LFS pointer of {size} bytes, not the file itself"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE):
        return f"is a page of {size} bytes, such as a server's error"
    if path.suffix == ".safetensors":
        return _safetensors_fault(path)
    if path.suffix == ".onnx":
        return _onnx_fault(path)
    return _json_fault(path) if path.suffix == ".json" else ""


def _safetensors_fault(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:  # compares the header with the file's length
            return "" if list(file.keys()) else "holds no tensor"
    except (SafetensorError, OSError, ValueError) as error:
        return f"is no whole safetensors file ({error})"


def _onnx_fault(path: Path) -> str:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        return f"is no whole ONNX file ({type(error).__name__})"
    if not model.graph.node:
        return "is an ONNX file without a node"
    beside = {entry.value for one in model.graph.initializer for entry in one.external_data if entry.key == "location"}
    absent = sorted(name for name in beside if not (path.parent / name).is_file())
    return f"keeps weights in {', '.join(absent)}, which is not there" if absent else ""


def _json_fault(path: Path) -> str:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return "is no whole JSON"
    if not path.name.endswith(_INDEX):
        return ""
    shards = set(value.get("weight_map", {}).values()) if isinstance(value, dict) else set()
    absent = sorted(str(name) for name in shards if not (path.parent / str(name)).is_file())
    return f"names {', '.join(absent[:3])}, which is not there" if absent else ""
