"""How many labels mining saves against random choice, to reach a given MCC; on real photos and on the rendered stream.

Run: python tests/perf/bench_labels.py [rendered frames] [seeds]; prints one JSON line last and writes
docs/benchmarks/labels.json. 0 rendered frames leave the stream out; else its rows are made once, a block at a time, and
kept in data/labels, so that a killed run goes on (half a second of one core per frame). It measures labels, not time:
a busy machine changes nothing.

Also: how many of the labels that were flipped on purpose among the real photos are found.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from streetvision_core.data.observe import Observer
from streetvision_core.data.table import FeatureTable
from streetvision_core.learning.label_efficiency import label_ratios, photo_labels, record_stream_labels
from streetvision_core.mining.efficiency import LabelCurves, LabelPlan, compare_strategies
from streetvision_core.mining.label_errors import find_label_errors
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "docs" / "benchmarks" / "labels.json"
TARGETS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9)
FLIPPED = (0.05, 0.10)
MOST_LABELS = 200


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
    ratios: dict[str, list[dict[str, object]]] = {}
    for row in label_ratios({name: curves}, TARGETS):
        sys.stdout.write(f"{row}\n")
        ratios.setdefault(row["strategy"], []).append({k: v for k, v in row.items() if k not in ("stream", "strategy")})
    return {
        "rows": len(table),
        "groups": len(set(table.groups)),
        "positives": int((table.labels == 1).sum()),
        "curves": curves.to_dict(),
        "ratios": ratios,
    }


def main(frames: int, seeds: int) -> None:
    """Both streams under the loop's own mining settings."""
    settings = load_settings("embedded")
    plan = LabelPlan(seeds=seeds, most=MOST_LABELS)
    photos = photo_labels()
    streams = {"real photos": photos}
    if frames:
        streams["rendered stream"] = record_stream_labels(
            Observer.of(settings), settings.seed, frames, settings.paths.resolve("data") / "labels"
        )
    result: dict[str, object] = {
        "benchmark": "labels",
        "plan": {"start": plan.start, "batch": plan.batch, "most": plan.most, "seeds": plan.seeds},
        "head": "logistic regression on 128 principal components of the stored features, classes balanced",
        "test": "a quarter of the groups, never asked about; another quarter for each seed",
        "intervals": "95 %, bootstrap over seeds",
    }
    for name, table in streams.items():
        curves = compare_strategies(
            table, settings.mining, plan, progress=lambda s: sys.stderr.write(f"seed {s + 1}\n")
        )
        result[name] = told(name, table, curves)
    result["injected label errors"] = [injected_errors(photos, share, seeds) for share in FLIPPED]
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 720,
        int(sys.argv[2]) if len(sys.argv) > 2 else 10,
    )
