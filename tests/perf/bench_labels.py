"""How many labels mining saves against random choice, to reach a given MCC; on real photos and on the rendered stream.

Run: python tests/perf/bench_labels.py [rendered frames] [seeds]; prints one JSON line last and writes
docs/benchmarks/labels.json. 0 rendered frames leave the stream out; else its rows are made once and kept in data/bench
(1,440 frames: about five minutes of one core). It measures labels, not time, so a busy machine changes nothing.

Also: how many of the labels that were flipped on purpose among the real photos are found.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from rich.progress import track

from streetvision_core.data.observe import observe
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.decode import decode_image
from streetvision_core.mining.efficiency import LabelCurves, LabelPlan, compare_strategies
from streetvision_core.mining.label_errors import find_label_errors
from streetvision_core.mining.stream import day_stream
from streetvision_core.models.factory import load_models
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "docs" / "benchmarks" / "labels.json"
FRAMES_PER_DAY = 360
TARGETS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9)
FLIPPED = (0.05, 0.10)
MOST_LABELS = 200


def rendered_stream(frames: int) -> FeatureTable:
    """The demo stream's first days, every stage but OCR on every frame (they are too narrow for text)."""
    path = ROOT / "data" / "bench" / f"stream-{frames}.npz"
    if path.exists():
        return FeatureTable.load(path)
    settings = load_settings("embedded")
    models = load_models(settings)
    days = range(-(-frames // FRAMES_PER_DAY))
    queries = list(islice((q for day in days for q in day_stream(day, FRAMES_PER_DAY)), frames))
    images = [decode_image(q.jpeg_bytes, q.group) for q in track(queries, description="rendered stream")]
    width = settings.cascade.ocr_min_width_pixels
    features, evidence = observe(
        images, models, path.with_name("features.sqlite"), ocr_min_width_pixels=width, progress="rendered stream"
    )
    table = FeatureTable.build(
        features,
        backbone=models.backbone.name,
        preprocessing=models.preprocessor.name,
        labels=[q.truth for q in queries],
        groups=[q.group for q in queries],
        origins=[q.origin for q in queries],
        eras=[q.era for q in queries],
        evidence=evidence,
    )
    table.save(path)
    return table


def injected_errors(table: FeatureTable, share: float, seeds: int) -> dict[str, float]:
    """Precision and recall of the suspects, and precision among as many of the worst as were flipped."""
    rows = []
    for seed in range(seeds):
        flipped = np.zeros(len(table), np.bool_)
        flipped[np.random.default_rng(seed).permutation(len(table))[: round(share * len(table))]] = True
        labels = np.where(flipped, 1 - table.labels, table.labels).astype(np.int8)
        found = find_label_errors(replace(table, labels=labels), seed)
        hits = int((found.suspect & flipped).sum())
        worst = np.argsort(found.quality, kind="stable")[: flipped.sum()]
        rows.append((hits / max(int(found.suspect.sum()), 1), hits / flipped.sum(), flipped[worst].mean()))
    precision, recall, at_k = np.mean(rows, axis=0)
    return {
        "flipped_share": share,
        "precision": round(float(precision), 3),
        "recall": round(float(recall), 3),
        "precision_of_worst": round(float(at_k), 3),
    }


def told(name: str, table: FeatureTable, curves: LabelCurves) -> dict[str, object]:
    """What the result file keeps of one stream."""
    reached = {t: [curves.needed(s, t) for s in curves.mcc] for t in TARGETS}
    # What the random start reaches already says nothing about choosing.
    reachable = [t for t, needed in reached.items() if any(n and n > curves.labels[0] for n in needed)]
    ratios = {s: [curves.ratio(t, s) for t in reachable] for s in curves.mcc if s != "random"}
    for strategy, found in ratios.items():
        for r in found:
            sys.stdout.write(f"{name}, {strategy}: {r}\n")
    return {
        "rows": len(table),
        "groups": len(set(table.groups)),
        "positives": int((table.labels == 1).sum()),
        "curves": curves.to_dict(),
        "ratios": ratios,
    }


def main(frames: int, seeds: int) -> None:
    """Both streams under the loop's own mining settings."""
    settings = load_settings("embedded").mining
    plan = LabelPlan(seeds=seeds, most=MOST_LABELS)
    photos = load_starter().table
    # One label is paid per photo, so its crops and other era variants do not count as further frames.
    photos = photos.select(np.array([era == "native" for era in photos.eras]) & (photos.labels >= 0))
    streams = {"real photos": photos}
    if frames:
        streams["rendered stream"] = rendered_stream(frames)
    result: dict[str, object] = {
        "benchmark": "labels",
        "plan": {"start": plan.start, "batch": plan.batch, "most": plan.most, "seeds": plan.seeds},
        "head": "logistic regression on 128 principal components of the stored features, classes balanced",
        "test": "a quarter of the groups, never asked about; another quarter for each seed",
        "intervals": "95 %, bootstrap over seeds",
    }
    for name, table in streams.items():
        curves = compare_strategies(table, settings, plan, progress=lambda s: sys.stderr.write(f"seed {s + 1}\n"))
        result[name] = told(name, table, curves)
    result["injected label errors"] = [injected_errors(photos, share, seeds) for share in FLIPPED]
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1440,
        int(sys.argv[2]) if len(sys.argv) > 2 else 10,
    )
