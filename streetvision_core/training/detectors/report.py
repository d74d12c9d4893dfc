"""Measures the shipped detectors on photos they never saw, and writes docs/benchmarks/detectors.{json,md}."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.models.detectors import Detector
from streetvision_core.models.detectors._nms import make_box
from streetvision_core.training.detectors._measure import SCORE, Truth, best_scores, image_auc, measure_boxes
from streetvision_core.training.detectors._photos import cone_photos, has_photos, labelled_rows, read_rgb
from streetvision_core.training.detectors._recipe import FIRST_SEED
from streetvision_core.training.detectors._samples import IGNORE, is_seen_group
from streetvision_core.types import DEVICE_CLASSES, Frame

Track = Callable[[Iterable[Any], str], Iterable[Any]]
Labelled = list[tuple[Frame, Truth]]
ImageScores = dict[str, list[dict[str, float]]]

RATER_IOU: Final = 0.3
"""Overlap asked of boxes drawn by hand; devices of ten pixels and a rater's two pixels of error allow no more."""
EXACT_IOU: Final = 0.5
"""Overlap asked where boxes are exact or objects large."""


def real_boxes(streets: Path, table: Path) -> dict[str, Labelled]:
    """The hand-labelled photos of data/starter/real_boxes.csv, by origin (`clips`, `german`)."""
    rows: dict[str, list[dict[str, str]]] = {}
    with table.open(newline="") as handle:
        for row in csv.DictReader(handle):
            rows.setdefault(row["path"], []).append(row)
    result: dict[str, Labelled] = {"clips": [], "german": []}
    for path, entries in rows.items():
        boxes = [([float(e[k]) for k in ("x0", "y0", "x1", "y1")], e["label"]) for e in entries]
        devices = tuple(make_box(c, name) for c, name in boxes if name in DEVICE_CLASSES)
        ignore = np.array([c for c, name in boxes if name == "ignore"], np.float32).reshape(-1, 4)
        frame = Frame.from_pixels(read_rgb(streets / path), path)
        result["german" if path.startswith("gtsdb") else "clips"].append((frame, Truth(devices, ignore)))
    return result


def cone_boxes(streets: Path) -> Labelled:
    """Cone photos of the parts that did not train; only cones are judged."""
    made = []
    for part in ("valid", "test"):
        for i, sample in enumerate(cone_photos(streets, part)):
            cones = tuple(make_box(c, "cone") for c in sample.corners[sample.labels != IGNORE])
            truth = Truth(cones, sample.corners[sample.labels == IGNORE], ("cone",))
            made.append((Frame.from_pixels(sample.pixels, f"cones/{part}/{i}"), truth))
    return made


def rendered_boxes(count: int) -> Labelled:
    """Rendered frames whose seeds never trained."""
    from streetvision_core.data import scenes

    made = []
    for seed in range(FIRST_SEED["held-out"], FIRST_SEED["held-out"] + count):
        scene = scenes.render(seed, roadwork=seed % 2 == 0, width=640, height=384)
        made.append((scene.frame, Truth(tuple(scene.boxes))))
    return made


def origins(streets: Path, every: int = 1) -> dict[str, list[Path]]:
    """Photos by origin and label that trained no detector; `every`-th of each. Empty where no photos lie.

    `clips` and `german works` show road work; `german`, `camvid`, `udacity` and `clip ends` do not.
    """
    found: dict[str, list[Path]] = {}
    if not has_photos(streets):
        return found
    for row in labelled_rows(streets, ""):
        works = row["label"] == "roadwork"
        folder = row["path"].split("/")[0]
        if row["label"] not in ("roadwork", "none") or (folder == "gtsdb" and is_seen_group(row["group"])):
            continue
        names = {"roadwork-clips": ("clip ends", "clips"), "gtsdb": ("german", "german works")}
        name = names[folder][works] if folder in names else folder
        found.setdefault(name, []).append(streets / row["path"])
    return {name: paths[::every] for name, paths in sorted(found.items())}


def measure_detector(
    detector: Detector, streets: Path, table: Path, held_out: int, track: Track, every: int = 1
) -> dict[str, Any]:
    """All numbers of one detector; without photos, those on rendered frames.

    Args:
        detector: a loaded detector.
        streets: the photos.
        table: real_boxes.csv.
        held_out: rendered frames.
        track: progress bar.
        every: take each n-th image of every set, to try it quickly.
    """
    sets = {"rendered": (rendered_boxes(held_out), EXACT_IOU)}
    if has_photos(streets):
        real = real_boxes(streets, table)
        sets = {
            "clips, by hand": (real["clips"], RATER_IOU),
            "german, by hand": (real["german"], RATER_IOU),
            "cone photos": (cone_boxes(streets), EXACT_IOU),
            **sets,
        }
    boxes = {name: _judge(detector, labelled[::every], iou, track, name) for name, (labelled, iou) in sets.items()}
    scores: ImageScores = {}
    milliseconds: dict[str, float] = {}
    for origin, paths in origins(streets, every).items():
        frames = [Frame.from_pixels(read_rgb(p), p.name) for p in paths]
        began = time.process_time()
        scores[origin] = [best_scores(detector.detect([f])[0]) for f in track(frames, origin)]
        milliseconds[origin] = round(1000 * (time.process_time() - began) / len(frames), 1)
    numbers = {"version": detector.version, "boxes": boxes, "cpu_milliseconds_per_image": milliseconds}
    return {**numbers, **_image_numbers(scores), "scores": scores}


def _image_numbers(scores: ImageScores) -> dict[str, Any]:
    return {
        "image_auc": {name: image_auc(scores, name) for name in ("clips", "german works")},
        "alarms": {name: round(float(np.mean([r["any"] >= SCORE for r in rows])), 4) for name, rows in scores.items()},
        "images": {name: len(rows) for name, rows in scores.items()},
    }


def _judge(detector: Detector, labelled: Labelled, iou: float, track: Track, name: str) -> dict[str, Any]:
    answers = [detector.detect([frame])[0] for frame, _ in track(labelled, name)]
    truths = [truth for _, truth in labelled]
    by_class = measure_boxes(answers, truths, iou)
    loose = measure_boxes(answers, truths, iou, any_class=True)["any"]
    kept = {c: s.to_dict() for c, s in by_class.items() if s.labelled}
    return {"images": len(labelled), "iou": iou, "classes": kept, "any_class": loose.to_dict()}


def to_markdown(results: dict[str, dict[str, Any]]) -> str:
    """The tables of docs/benchmarks/detectors.md, from the JSON's content."""
    lines = ["# Stage-2 detectors, measured", "", _INTRODUCTION, ""]
    for name, result in results.items():
        lines += [f"## {name} (version {result['version']})", ""]
        if "boxes" in result:
            lines += [*_box_table(result), ""]
        lines += [*_image_table(result), ""]
    return "\n".join(lines)


def _box_table(result: dict[str, Any]) -> list[str]:
    lines = [
        f"| set | class | labelled | precision at {SCORE} | recall at {SCORE} | average precision |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, held in result["boxes"].items():
        rows = {**held["classes"], "any, class aside": held["any_class"]}
        for label, row in rows.items():
            cells = [_cell(row[k]) for k in ("precision", "recall", "average_precision")]
            where = f"{name} ({held['images']} images, IoU {held['iou']})"
            lines.append(f"| {where} | {label} | {row['labelled']} | {' | '.join(cells)} |")
    return lines


def _image_table(result: dict[str, Any]) -> list[str]:
    lines = [
        f"| origin | images | share with a score >= {SCORE} | clips, AUC | German works, AUC | CPU ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for origin, count in result["images"].items():
        against = [_cell(result["image_auc"][p].get(origin, {}).get("any")) for p in ("clips", "german works")]
        pace = round(result["cpu_milliseconds_per_image"][origin])
        lines.append(f"| {origin} | {count} | {result['alarms'][origin]:.2f} | {' | '.join(against)} | {pace} |")
    return lines


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


_INTRODUCTION: Final = """Made by `python -m streetvision_core.training.detectors measure`; raw: `detectors.json`.

Boxes: hand-labelled photos (`data/starter/real_boxes.csv`, one rater), cone photos of the parts that did not train,
rendered frames of seeds that did not train. Images: the best score of any class, road work against none; every
photo is of a group that trained neither detector, and CamVid, Udacity and the clips trained nothing at all. Times are
of one thread, preparation included. `both` is the mean of the two detectors' best scores."""


def measure_all(detectors: Sequence[Detector], **where: Any) -> dict[str, dict[str, Any]]:
    """`measure_detector` for several detectors, by name, and `both`: the mean of their best scores per image."""
    results = {detector.name: measure_detector(detector, **where) for detector in detectors}
    held = [result.pop("scores") for result in results.values()]
    joined: ImageScores = {
        origin: [{c: float(np.mean([r[c] for r in rows])) for c in rows[0]} for rows in zip(*each, strict=True)]
        for origin, each in ((origin, [scores[origin] for scores in held]) for origin in held[0])
    }
    paces = [result["cpu_milliseconds_per_image"] for result in results.values()]
    total = {origin: round(sum(pace[origin] for pace in paces), 1) for origin in joined}
    versions = " + ".join(result["version"] for result in results.values())
    both = {"version": versions, "cpu_milliseconds_per_image": total, **_image_numbers(joined)}
    return {**results, "both": both}
