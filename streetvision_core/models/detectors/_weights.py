"""Shipped weights: read only if their sha256 is the one in the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError

WEIGHTS_FOLDER: Final = Path(__file__).resolve().parent.parent / "weights"


def read_weights(name: str, folder: Path = WEIGHTS_FOLDER) -> bytes:
    """The bytes of a weights file, checked against manifest.json.

    Args:
        name: file name, e.g. `dense-lite2.onnx`.
        folder: holds the file and manifest.json.

    Raises:
        ManifestError: the file or its entry is missing, or the sha256 differs.
    """
    action = (
        "install the package again, or write the manifest anew with `python -m streetvision_core.training.detectors`"
    )
    try:
        expected = str(json.loads((folder / "manifest.json").read_text())["files"][name]["sha256"])
        data = (folder / name).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            got=f"{name}: {type(error).__name__} {error}",
            allowed=f"{name} beside a manifest.json that lists it",
            action=action,
            name=name,
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise ManifestError(
            got=f"{name} with sha256 {digest[:12]}…",
            allowed=f"sha256 {expected[:12]}… as in manifest.json",
            action=action,
            name=name,
            sha256=digest,
        )
    return data


def read_card(name: str, folder: Path = WEIGHTS_FOLDER) -> dict[str, Any]:
    """The card of a detector: version, input, classes, what it was trained on, attribution.

    Raises:
        ManifestError: as `read_weights`.
    """
    card: dict[str, Any] = json.loads(read_weights(f"{name}.card.json", folder))
    return card
