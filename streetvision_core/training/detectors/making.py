"""The three things a person asks for: the dense detector, YOLO, the measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import DataError
from streetvision_core.models.detectors import detector_names, load_detector
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER
from streetvision_core.storage import atomic_write_json, atomic_write_text
from streetvision_core.training.detectors import _ship, report, steps
from streetvision_core.training.detectors._photos import has_photos
from streetvision_core.training.detectors._recipe import Recipe
from streetvision_core.types import DEVICE_CLASSES

VERSION: Final = "1"
REAL_BOXES: Final = Path(__file__).resolve().parents[3] / "data" / "starter" / "real_boxes.csv"

_LICENCES: Final = {
    "dense-lite2": "Apache-2.0",
    "yolo12n": "Apache-2.0 for these weights as far as we may say; the network's definition and loss come from "
    "ultralytics 8.4.190 (AGPL-3.0), whose makers hold that weights trained with it are covered too",
}


def dense(streets: Path, cache: Path, recipe: Recipe, track: Any, *, ship: bool = False) -> Path:
    """Trains the dense detector; with `ship`, puts it into the package. Returns the ONNX file."""
    _ensure_photos(streets, ship)
    path = steps.make_dense(streets, cache, recipe, track)
    if ship:
        _ship.ship("dense-lite2", path, dense_card(streets, recipe), WEIGHTS_FOLDER)
    return path


def yolo(
    streets: Path, cache: Path, recipe: Recipe, track: Any, *, ship: bool = False, minutes: float | None = None
) -> Path:
    """Trains YOLO12-n; with `ship`, puts it into the package. Returns the ONNX file."""
    _ensure_photos(streets, ship)
    path = steps.make_yolo(streets, cache, recipe, track, minutes)
    if ship:
        _ship.ship("yolo12n", path, yolo_card(streets, recipe), WEIGHTS_FOLDER)
    return path


def measure(streets: Path, out: Path, held_out: int, track: Any, *, every: int = 1, threads: int = 1) -> str:
    """Measures the shipped detectors; writes detectors.json and detectors.md, returns the tables."""
    found = [load_detector(name, threads) for name in detector_names()]
    results = report.measure_all(found, streets=streets, table=REAL_BOXES, held_out=held_out, track=track, every=every)
    atomic_write_json(out / "detectors.json", results)
    text = report.to_markdown(results)
    atomic_write_text(out / "detectors.md", text)
    return text


def dense_card(streets: Path, recipe: Recipe) -> dict[str, Any]:
    """The card of dense-lite2."""
    shortest, longest = recipe.dense_input
    return {
        **_card("dense-lite2", streets, recipe, signs=True),
        "input": {"shortest": shortest, "longest": longest, "multiple": 32, "backbone": "efficientnet-lite2"},
        "attribution": dict(_ship.ATTRIBUTION),
    }


def yolo_card(streets: Path, recipe: Recipe) -> dict[str, Any]:
    """The card of yolo12n."""
    width, height = recipe.yolo_input
    owed = {k: v for k, v in _ship.ATTRIBUTION.items() if k != "EfficientNet-Lite2"}
    return {
        **_card("yolo12n", streets, recipe, signs=False),
        "input": {"width": width, "height": height},
        "attribution": {**owed, "network": "YOLO12-n as defined in ultralytics 8.4.190, AGPL-3.0"},
    }


def _ensure_photos(streets: Path, ship: bool) -> None:
    if ship and not has_photos(streets):
        raise DataError(
            f"no photos at {streets}",
            "the street photos with their labels.csv, to ship weights",
            "give --streets or set SV_PATHS__STREETS; without photos train with ship off",
        )


def _card(name: str, streets: Path, recipe: Recipe, *, signs: bool) -> dict[str, Any]:
    return {
        "version": VERSION,
        "classes": list(DEVICE_CLASSES),
        "licence": _LICENCES[name],
        "recipe": recipe.to_dict(),
        "trained_on": "rendered street world, rendered work zones on German scenes without road work, cone photos, "
        "German scenes without road work" + (", German road-works signs" if signs else ""),
        "never_trained_on": "the ROADWork clips, CamVid, Udacity, German scenes of groups not in seen_groups",
        "seen_groups": steps.seen_groups(streets, signs=signs),
        "how": "python -m streetvision_core.training.detectors, notebooks/20_detectors.ipynb",
        "measured": "docs/benchmarks/detectors.md",
    }
