"""How long the data engine takes: 10,000 samples through mine, annotate and select; 1,000,000 through score and select.

Run: python tests/perf/bench_engine.py [samples] [pool]; prints one JSON line last, writes docs/benchmarks/engine.json.
Samples are rendered scenes as JPEG that go through every step, decoding included, but the frozen models, whose features
and evidence are drawn at random: what a model costs per frame is measured elsewhere. Wall time means little on a busy
machine: read `cpu_seconds` and `load_average` beside it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from streetvision_core.data.scenes import render
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.mining.accept import Judge, queue
from streetvision_core.mining.balance import balance_stream
from streetvision_core.mining.drift import DriftState, input_distance, one_of_each
from streetvision_core.mining.hardness import Probabilities, score, score_verdicts
from streetvision_core.mining.labelmodel import as_matrix
from streetvision_core.mining.modes import tag
from streetvision_core.mining.seeds import FREE
from streetvision_core.mining.select import select
from streetvision_core.mining.sources import SOURCES, logged_answers
from streetvision_core.models.evidence import (
    DETECTOR_NAMES,
    EVIDENCE_NAMES,
    classifier_evidence,
    detector_evidence,
    vector,
)
from streetvision_core.settings import BalanceSettings, MiningSettings
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Box, Split, Verdict

DIM = 2560
SCENES = 32
POOL_DIM = 256
"""A million rows of 2,560 numbers are 10 GB; the engine reads such a pool projected to this width."""
RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "engine.json"


Figures = dict[str, float | None]


class Clock:
    """Seconds by step, wall and processor."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = round(time.perf_counter() - wall, 3)
        self.cpu[name] = round(time.process_time() - cpu, 3)


def drives(n: int, dim: int, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """Features of drives of 40 frames: neighbours in a drive are alike, drives differ."""
    drive = np.arange(n) // 40
    scenes = rng.standard_normal((int(drive[-1]) + 1, dim), dtype=np.float32)
    features = scenes[drive]
    for start in range(0, n, 50_000):
        block = features[start : start + 50_000]
        block += 0.1 * rng.standard_normal(block.shape, dtype=np.float32)
    return features, [f"drive-{d}" for d in drive]


def verdicts(n: int, rng: np.random.Generator) -> tuple[list[Verdict], np.ndarray]:
    """Logged answers of three imperfect sources, and the truth."""
    truth = (rng.random(n) < 0.4).astype(np.int8)
    made = []
    for label in truth.tolist():
        logit = float(rng.normal(2.0 if label else -2.0, 1.5))
        boxes = {
            name: tuple(
                Box(10, 10, 40, 60, "cone", float(rng.uniform(0.3, 0.95)))
                for _ in range(int(rng.poisson(2.0 if label else 0.2)))
            )
            for name in DETECTOR_NAMES
        }
        evidence = (classifier_evidence(logit, 0.01), detector_evidence(boxes, 640, 360, 0.1))
        p = 1 / (1 + np.exp(-logit - sum(len(b) for b in boxes.values()) + 1.2))
        made.append(Verdict(float(np.clip(p, 1e-6, 1 - 1e-6)), "detectors", False, evidence, "v1", "certified", 0.1))
    return made, truth


def ten_thousand(n: int, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float], Figures]:
    """Mine, annotate, select, watch and balance n samples, step by step."""
    features, groups = drives(n, DIM, rng)
    answers, truth = verdicts(n, rng)
    jpegs = [encode_jpeg(render(FREE[200_000 + i], width=640, height=360).frame.pixels) for i in range(SCENES)]
    clock, settings = Clock(), MiningSettings()
    with clock.step("mine: score"):
        scores = score_verdicts(answers)
    evidence = np.stack([vector(v.evidence) for v in answers])
    table = FeatureTable.build(
        features, backbone="b", preprocessing="p/1", groups=groups, evidence=evidence, labels=truth
    )
    with clock.step("mine: decode"):
        for i in range(n):
            decode_image(jpegs[i % SCENES], "bench")
    images = [decode_image(jpeg, "bench") for jpeg in jpegs]
    with clock.step("mine: failure modes"):
        for i, answer in enumerate(answers):
            tag(images[i % SCENES], [box for e in answer.evidence for found in e.boxes.values() for box in found])
    with clock.step("annotate: label model and certificate"):
        said = as_matrix([logged_answers(v) for v in answers], SOURCES)
        half = n // 2
        judge = Judge.fit(said[:half], truth[:half], groups[:half], SOURCES, precision=0.97)
        p = judge.posterior(said)
        accepted = judge.accepted(p)
    with clock.step("annotate: queue"):
        queue(p[~accepted], [g for g, a in zip(groups, accepted, strict=True) if not a])
    with clock.step("select"):
        chosen = select(table, scores, max(settings.budget, n // 10), settings)
    with clock.step("drift"):
        rows = one_of_each(groups, 0)
        distance = input_distance(features[rows], features[:2000])
        finals = np.array([v.p_roadwork for v in answers])
        DriftState.start("v1", "2026-01-01").watch("2026-01-02", {"input": distance, "prediction": finals[rows]})
    with clock.step("balance"):
        split = FeatureTable.build(
            features, backbone="b", preprocessing="p/1", groups=groups, labels=truth, splits=[Split.TRAIN] * n
        )
        balance_stream(split.select(np.arange(min(500, n))), [split], BalanceSettings())
    right = float((p[accepted] > 0.5).astype(int).__eq__(truth[accepted]).mean()) if accepted.any() else None
    figures: Figures = {"accepted_share": float(accepted.mean()), "accepted_right": right, "chosen": len(chosen.items)}
    return clock.wall, clock.cpu, figures


def a_million(n: int, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float], Figures]:
    """Score and select from n stored rows."""
    features, groups = drives(n, POOL_DIM, rng)
    evidence = np.full((n, len(EVIDENCE_NAMES)), np.nan, np.float32)
    seen = rng.random(n) < 0.2
    evidence[seen] = rng.random((int(seen.sum()), len(EVIDENCE_NAMES)), dtype=np.float32)
    table = FeatureTable.build(features, backbone="b", preprocessing="p/1", groups=groups, evidence=evidence)
    later = np.where(seen, rng.random(n), np.nan)
    probabilities = Probabilities(rng.beta(0.3, 0.3, n), rng.random(n), later, rng.random(n) < 0.8)
    clock, settings = Clock(), MiningSettings()
    with clock.step("score"):
        hardness = score(table, probabilities)
    with clock.step("select"):
        chosen = select(table, hardness, 1000, settings)
    return clock.wall, clock.cpu, {"chosen": len(chosen.items), "near_duplicates": chosen.near_duplicates}


def main(n: int, pool: int) -> None:
    rng = np.random.default_rng(0)
    wall, cpu, figures = ten_thousand(n, rng)
    pool_wall, pool_cpu, pool_figures = a_million(pool, rng)
    result = {
        "benchmark": "engine",
        "samples": n,
        "seconds_per_10000": {name: round(v * 10_000 / n, 3) for name, v in wall.items()},
        "cpu_seconds": cpu,
        "total_seconds": round(sum(wall.values()), 2),
        "allowed_seconds": 300.0,
        **figures,
        "pool": pool,
        "pool_dim": POOL_DIM,
        "pool_seconds": pool_wall,
        "pool_cpu_seconds": pool_cpu,
        "pool_total_seconds": round(sum(pool_wall.values()), 2),
        "pool_allowed_seconds": 120.0,
        "pool_chosen": pool_figures["chosen"],
        "pool_near_duplicates": pool_figures["near_duplicates"],
        "within_budget": sum(wall.values()) < 300 and sum(pool_wall.values()) < 120,
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "blas_threads": os.environ.get("OMP_NUM_THREADS", "default"),
    }
    if n >= 10_000 and pool >= 1_000_000:
        atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 10_000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000,
    )
