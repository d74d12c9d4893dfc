"""Head training and calibration from stored features: 10,000 rows x 2,560 columns on two threads.

Budget (DESIGN.md, section 5): under 60 seconds on two cores. Run: python tests/perf/bench_training.py [rows]
Prints one JSON line last and keeps it in docs/benchmarks/training.json.
"""

import itertools
import json
import os
import platform
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.engine import predict_table
from streetvision_core.data.table import FeatureTable
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import train_heads
from streetvision_core.types import Split

DIM = 2560
RESULT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "training.json"


def synthetic_table(rows: int, seed: int = 0) -> FeatureTable:
    """Rows of two classes in a 40-dimensional subspace, with noisy detector evidence; two rows per group."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, rows)
    latent = rng.normal(size=(rows, 40)).astype(np.float32)
    latent[:, :5] += 0.8 * labels[:, None]
    features = latent @ rng.normal(size=(40, DIM)).astype(np.float32)
    features += 3 * rng.normal(size=(rows, DIM)).astype(np.float32)
    evidence = np.where(rng.random((rows, len(EVIDENCE_NAMES))) < 0.1 + 0.3 * labels[:, None], 1.0, 0.0)
    splits = rng.choice(np.array(list(Split), dtype=object), rows // 2 + 1, p=[0.6, 0.1, 0.2, 0.1])
    return FeatureTable.build(
        features,
        backbone="bench",
        preprocessing="bench/1",
        labels=labels,
        groups=[f"g{i // 2}" for i in range(rows)],
        splits=[splits[i // 2] for i in range(rows)],
        evidence=evidence,
    )


def main() -> None:
    """Times training, calibration and the table path."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    settings, table = load_settings("embedded"), synthetic_table(rows)
    clocks = [(time.perf_counter(), time.process_time())]
    trained = train_heads(table, settings.training, seed=0)
    clocks.append((time.perf_counter(), time.process_time()))
    calibration = fit_cascade(table, trained.head, settings)
    clocks.append((time.perf_counter(), time.process_time()))
    decisions = predict_table(table, trained.head, calibration, "certified")
    clocks.append((time.perf_counter(), time.process_time()))
    wall, cpu = ([b[k] - a[k] for a, b in itertools.pairwise(clocks)] for k in (0, 1))
    result = {
        "benchmark": "training",
        "rows": rows,
        "columns": DIM,
        "candidates": len(trained.leaderboard),
        "train_seconds": round(wall[0], 2),
        "calibrate_seconds": round(wall[1], 2),
        "total_seconds": round(wall[0] + wall[1], 2),
        "cpu_seconds": round(cpu[0] + cpu[1], 2),
        "table_rows_per_second": round(len(decisions) / wall[2]),
        "budget_seconds": 60,
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    atomic_write_json(RESULT, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
