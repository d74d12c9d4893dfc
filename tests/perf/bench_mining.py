"""How long it takes to score the hardness, disagreement and diversity of 100,000 frames.

Run: python tests/perf/bench_mining.py [rows]; prints one JSON line last and writes docs/benchmarks/mining.json.
Wall time means little on a busy machine: read `cpu_seconds` and `load_average` beside it.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from streetvision_core.data.table import FeatureTable
from streetvision_core.mining.hardness import Probabilities, score
from streetvision_core.mining.select import select
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.settings import MiningSettings
from streetvision_core.storage import atomic_write_json

DIM = 2560
RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "mining.json"


def make_pool(n: int, rng: np.random.Generator) -> tuple[FeatureTable, Probabilities]:
    """Drives of 40 frames: neighbours in a drive are near-duplicates, drives differ."""
    drives = np.arange(n) // 40
    scenes = rng.standard_normal((int(drives[-1]) + 1, DIM), dtype=np.float32)
    features = scenes[drives]
    features += 0.1 * rng.standard_normal((n, DIM), dtype=np.float32)
    evidence = rng.random((n, len(EVIDENCE_NAMES)), dtype=np.float32)
    table = FeatureTable.build(
        features, backbone="b", preprocessing="p/1", groups=[f"drive-{d}" for d in drives], evidence=evidence
    )
    p = rng.beta(0.3, 0.3, n)
    later = np.where(rng.random(n) < 0.5, rng.random(n), np.nan)
    return table, Probabilities(p, rng.random(n), later, rng.random(n) < 0.8)


def main(n: int) -> None:
    rng = np.random.default_rng(0)
    table, probabilities = make_pool(n, rng)
    settings = MiningSettings()
    cpu, started = time.process_time(), time.perf_counter()
    hardness = score(table, probabilities)
    scored = time.perf_counter()
    mined = select(table, hardness, settings.budget, settings)
    ended = time.perf_counter()
    result = {
        "benchmark": "mining",
        "rows": n,
        "dim": DIM,
        "budget": settings.budget,
        "chosen": len(mined.items),
        "near_duplicates": mined.near_duplicates,
        "hardness_seconds": round(scored - started, 3),
        "selection_seconds": round(ended - scored, 3),
        "total_seconds": round(ended - started, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "load_average": round(os.getloadavg()[0], 1),
        "allowed_seconds": 10.0,
        "within_budget": ended - started < 10.0,
        "cores": os.cpu_count(),
        "blas_threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "machine": platform.machine(),
    }
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
