"""How well the timeline finds the work zone, by clip; and what key frames, smoothing and searching cost and bring.

Run: python -m tests.perf.bench_video [drives]; prints one JSON line last and writes docs/benchmarks/video.json.

* `cities`: the dashcam clips beside the project (left out where they are not), each by a head and a calibration that
  never saw its city. Frame labels, one a second, by one rater; "ambiguous" seconds are not scored. Some clips' frames
  trained a detector: `detector_saw_it` says which.
* `rendered`: drives of the rendered street world (synthetic, exact labels), half without any work zone.
* `search`: rendered drives of two minutes with one zone; did searching find it before answering?
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.clip import ClipVerdict
from streetvision_core.cascade.engine import Cascade
from streetvision_core.cascade.policy import get_policy
from streetvision_core.cascade.video import predict_video
from streetvision_core.data import scenes
from streetvision_core.data.sources import read_labels
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.video import open_video
from streetvision_core.images.video_writing import encode_video
from streetvision_core.mining.seeds import FREE
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.settings import Settings, load_settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import train_heads
from streetvision_core.training.spec import CandidateSpec

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "video.json"
SEEDS = FREE[200_000:]
"""Far from the seeds that trained the detectors."""
FPS, SECONDS, LONG_SECONDS = 4, 30, 120
SPECS = [CandidateSpec("baseline", weight_decay=0.01)]
"""One plain candidate: nine heads are trained, and the choice among candidates is not what is measured."""


def fit(table: FeatureTable, models: ModelSet, settings: Settings, name: str) -> Cascade:
    """A cascade from a table."""
    head = train_heads(table, settings.training, 0, specs=SPECS).head
    return Cascade(models, head, fit_cascade(table, head, settings), get_policy("certified"), name)


def judge(answer: ClipVerdict, labels: Sequence[tuple[float, int]]) -> dict[str, Any]:
    """Labelled seconds against the segments, and against the frames' own answers."""

    def within(at: float) -> bool:
        return any(s.start_seconds <= at <= s.end_seconds for s in answer.segments)

    looked = [(at, y) for at, y in labels if any(a <= at <= b for a, b in answer.examined)]
    raw = [min(answer.timeline, key=lambda m: abs(m.seconds - at)).verdict.roadwork for at, _ in looked]
    work = [at for at, y in looked if y]
    found = [at for at in work if within(at)]
    return {
        "seconds": round(answer.seconds, 1),
        "mode": answer.mode,
        "p": round(answer.p_roadwork, 3),
        "segments": [[round(s.start_seconds, 1), round(s.end_seconds, 1)] for s in answer.segments],
        "labelled_work": len(work),
        "found": len(found),
        "labelled_none": len(looked) - len(work),
        "false_alarms": sum(within(at) for at, y in looked if not y),
        "right_smoothed": sum(within(at) == bool(y) for at, y in looked),
        "right_frames_alone": sum(p == bool(y) for p, (_, y) in zip(raw, looked, strict=True)),
        "scored": len(looked),
        "first_seen_late_by_seconds": round(min(found) - min(work), 1) if found else None,
        "compute_seconds": round(answer.compute_seconds, 2),
    }


def cities(settings: Settings, models: ModelSet, table: FeatureTable, only: int) -> Iterator[dict[str, Any]]:
    """Each clip of the collection by a cascade that never saw its city."""
    streets = settings.paths.resolve("streets")
    if not (streets / "labels.csv").exists():
        return
    rows = [r for r in read_labels(streets) if "frames_1fps" in r.path.parts and r.kind != "ambiguous"]
    rows.sort(key=lambda r: r.group)
    for number, (city, group) in enumerate(groupby(rows, key=lambda r: r.group)):
        if number == only:
            return
        labels = sorted((int(r.path.stem.rsplit("_", 1)[1]) / 30, int(r.label or 0)) for r in group)
        cascade = fit(table.select(np.array([g != city for g in table.groups])), models, settings, f"without-{city}")
        video = open_video(streets / "roadwork-clips" / "videos" / f"{city}.mp4", limits=settings.video)
        answer = judge(predict_video(video, cascade), labels)
        yield {"clip": city, "detector_saw_it": city in models.seen_groups, **answer}


def drives(
    count: int, seconds: int, first: int, settings: Settings
) -> Iterator[tuple[int, Any, list[tuple[float, int]]]]:
    """Rendered drives, every second one without a zone: seed, video, exact label of each frame."""
    for number in range(count):
        made = list(scenes.drive(SEEDS[first + number], seconds * FPS, fps=FPS, roadwork=number % 2 == 0))
        data = encode_video((scene.frame.pixels for scene in made), FPS)
        labels = [(i / FPS, scene.label) for i, scene in enumerate(made)]
        yield SEEDS[first + number], open_video(data, f"drive-{number}", settings.video), labels


def searched(video: Any, labels: list[tuple[float, int]], cascade: Cascade) -> dict[str, Any]:
    """Whether the zone of a long drive lies in what was answered, and was seen."""
    answer = predict_video(video, cascade)
    work = [at for at, y in labels if y]
    hit = [at for at in work if any(a <= at <= b for a, b in answer.examined)]
    return {
        "zone_seconds": round(len(work) / FPS, 1),
        "zone_seconds_answered": round(len(hit) / FPS, 1),
        "answered_seconds": round(sum(b - a for a, b in answer.examined), 1),
        "roadwork": answer.roadwork,
        "compute_seconds": round(answer.compute_seconds, 2),
    }


def total(clips: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over clips."""
    keys = ("labelled_work", "found", "labelled_none", "false_alarms", "right_smoothed", "right_frames_alone", "scored")
    return {"clips": len(clips), **{key: sum(clip[key] for clip in clips) for key in keys}}


def main(count: int, only: int) -> None:
    """Measures, writes, prints."""
    load, began = os.getloadavg()[0], time.perf_counter()
    settings = load_settings("embedded")
    models, table = load_models(settings), load_starter().training_table()
    found = list(cities(settings, models, table, only))
    cascade = fit(table, models, settings, "starter")
    rendered = []
    for seed, video, labels in drives(count, SECONDS, 0, settings):
        rendered.append({"seed": seed, **judge(predict_video(video, cascade), labels)})
    search = [searched(v, y, cascade) for _, v, y in drives(max(1, count // 4), LONG_SECONDS, 10_000, settings)]
    empty = [clip for clip in rendered if not clip["labelled_work"]]
    result = {
        "benchmark": "video",
        "cities": found,
        "cities_total": total(found),
        "rendered": rendered,
        "rendered_total": total(rendered),
        "rendered_without_a_zone": {"clips": len(empty), "alarmed": sum(bool(clip["segments"]) for clip in empty)},
        "search": search,
        "settings": settings.video.model_dump(),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "load_average_at_start": round(load, 1),
        "cores": os.cpu_count(),
    }
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16, int(sys.argv[2]) if len(sys.argv) > 2 else 99)
