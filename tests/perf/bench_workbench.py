"""FiftyOne's hardness and mistakenness, sample by sample, against the same scores over all samples at once.

Run: python tests/perf/bench_workbench.py [samples]; prints one JSON line last; with 10,000 samples or more it writes
docs/benchmarks/workbench.json. Both ways end with the values in the database; they take turns, A B A B. A first,
smaller day lies in the same dataset, so that the run also shows that a later day leaves an earlier one alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.mining._workbench_job import WorkbenchJob, WorkbenchSample
from streetvision_core.mining.workbench import environment, with_database
from streetvision_core.storage import atomic_write_json

RESULT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "workbench.json"
DIM = 256
FIRST_DAY_MOST = 500
FULL = 10_000


def make_job(folder: Path, day: str, n: int, seed: int) -> WorkbenchJob:
    """A day of n frames with random answers; all of them show one picture."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    path = folder / "picture.jpg"
    Image.fromarray(rng.integers(0, 255, (36, 64, 3), dtype=np.uint8)).save(path)
    verdict = {"exit_stage": "classifier", "certified": False, "model_version": "v1", "policy": "certified"}
    samples = [
        WorkbenchSample(
            name=f"query-{seed}-{i}",
            filepath=str(path),
            verdict={**verdict, "evidence": []},
            p_roadwork=float(p),
            day=day,
            era="native",
            group=f"g{i // 4}",
            origin="bench",
            truth=int(rng.random() < 0.5),
        )
        for i, p in enumerate(rng.beta(0.4, 0.4, n).clip(1e-6, 1 - 1e-6))
    ]
    return WorkbenchJob("bench", day, samples, rng.standard_normal((n, DIM)).astype(np.float32))


def measure(n: int) -> dict[str, Any]:
    """Runs the comparison in a process of its own, with a database of its own."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        values = {**os.environ, **environment(home), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        subprocess.run([sys.executable, __file__, "--child", name, str(n)], env=values, check=True, stdout=sys.stderr)
        result: dict[str, Any] = json.loads((home / "result.json").read_text())
        return result


def child(home: Path, n: int) -> None:
    """The process with FiftyOne in it."""
    with_database(home)
    import fiftyone as fo
    import fiftyone.brain as fob

    from streetvision_core.mining._fiftyone_brain import forget_runs, score_answers
    from streetvision_core.mining._fiftyone_samples import day_view
    from streetvision_core.mining._fiftyone_work import work

    days = {"2026-03-01": min(n, FIRST_DAY_MOST), "2026-03-02": n}
    seconds, before = [], []
    for seed, (day, count) in enumerate(days.items()):
        started = time.perf_counter()
        runs = work(make_job(home, day, count, seed)).runs
        seconds.append(time.perf_counter() - started)
        dataset = fo.load_dataset("bench")
        before.append(values_of(day_view(dataset, "2026-03-01")))
    view = day_view(dataset, "2026-03-02")
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(2):
        started = time.perf_counter()
        score_answers(view, "2026-03-02")
        ours.append(time.perf_counter() - started)
        forget_runs(dataset, ["fo_hardness", "fo_mistakenness"])
        started = time.perf_counter()
        fob.compute_hardness(view, "prediction", hardness_field="fo_hardness", progress=False)
        fob.compute_mistakenness(
            view,
            "prediction",
            label_field="truth",
            mistakenness_field="fo_mistakenness",
            use_logits=True,
            progress=False,
        )
        theirs.append(time.perf_counter() - started)
    apart = {
        name: float(np.abs(np.array(view.values(name)) - np.array(view.values(f"fo_{name}"))).max())
        for name in ("hardness", "mistakenness")
    }
    alone = objects_replace_their_field_alone(dataset, home / "days")
    result = {
        "benchmark": "workbench",
        "samples": n,
        "days": len(dataset.distinct("day")),
        "runs": list(runs),
        "indexed": int(dataset.load_brain_results("similarity").total_index_size),
        "first_day_unchanged": before[0] == before[1],
        "objects_replace_their_field_alone": alone,
        "seconds_ours": [round(s, 3) for s in ours],
        "seconds_fiftyone": [round(s, 3) for s in theirs],
        "ratio": round(sum(theirs) / sum(ours), 1),
        "largest_difference": apart,
        "seconds_whole_day": round(seconds[-1], 1),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }
    atomic_write_json(home / "result.json", result)


def objects_replace_their_field_alone(dataset: Any, days: Path) -> bool:
    """Shows two annotation runs of the second day, and looks at all samples before and after each."""
    from streetvision_core.mining._fiftyone_objects import ANNOTATED, show_objects
    from streetvision_core.mining.objects import OBJECTS_FILE, FoundObject, save_objects
    from streetvision_core.mining.review_queue import ReviewQueue
    from streetvision_core.types import Box

    own = {ANNOTATED, "last_modified_at"}
    before = [{k: v for k, v in sample.to_dict().items() if k not in own} for sample in dataset]
    shown = []
    for number in (0, 1):
        found = {f"query-1-{number}": {"finder": (FoundObject(Box(1, 2, 3, 4, "cone", 0.5)),)}}
        save_objects(days / "2026-03-02" / OBJECTS_FILE, found)
        show_objects(dataset, ReviewQueue.of_data(days.parent))
        dataset.reload()
        shown.append(dataset.exists(ANNOTATED).values("name") == list(found))
    after = [{k: v for k, v in sample.to_dict().items() if k not in own} for sample in dataset]
    return all(shown) and before == after


def values_of(view: Any) -> list[Any]:
    """Everything the Brain wrote on a day's samples."""
    values: list[Any] = view.values(["name", "hardness", "mistakenness", "uniqueness", "tags"])
    return values


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        measured = measure(int(sys.argv[1]) if len(sys.argv) > 1 else FULL)
        if measured["samples"] >= FULL:
            atomic_write_json(RESULT, measured)
        sys.stdout.write(json.dumps(measured) + "\n")
