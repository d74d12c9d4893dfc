"""Stages 1 and 2 of the embedded profile: torch eager, ONNX Runtime and OpenVINO, fp32 and int8, in one run.

Run: python tests/perf/bench_runtimes.py [rounds] [frames]; prints one JSON line last and writes
docs/benchmarks/runtimes.json. Rounds go A B C D E A B C D E, so that a busy machine slows all of them; `ratio` is the
median over the rounds of (seconds / seconds of ONNX Runtime fp32). Decisions are judged on rendered frames, none of
which calibrated int8: `mcc_change` is against ONNX Runtime fp32.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.compression.benchmark import faster, interleave
from streetvision_core.compression.int8 import quantize
from streetvision_core.compression.runtimes import open_runtime
from streetvision_core.data.scenes import render
from streetvision_core.data.starter import load_starter
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.backbone import cached_lite2
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER
from streetvision_core.models.detectors._yolo import letterbox
from streetvision_core.models.features import extract
from streetvision_core.scoring.metrics import mcc
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import train_heads
from streetvision_core.training.spec import CandidateSpec

sys.path.insert(0, str(Path(__file__).parent))
from torch_graph import TorchGraph, fold

RESULT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "runtimes.json"
REFERENCE = "onnxruntime fp32"
YOLO_SIZE = (640, 384)
COUNTED = 0.4
Run = Callable[[np.ndarray], list[np.ndarray]]


def main(rounds: int, frames: int, result: Path = RESULT) -> None:
    """Both stages, one after the other."""
    settings = load_settings("embedded")
    drawn = [render(10_000 + seed, roadwork=bool(seed % 2), width=640) for seed in range(2 * frames)]
    calibrate, judge = [s.frame for s in drawn[:frames]], [s.frame for s in drawn[frames:]]
    y = np.array([s.label for s in drawn[frames:]])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        stages = {
            "classifier": classifier(settings, folder, calibrate, judge),
            "detectors": detectors(folder, calibrate, judge),
        }
        measured = {name: measure(*stage, y, folder / name, rounds) for name, stage in stages.items()}
    made = {
        "benchmark": "runtimes",
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": 1, "load": round(os.getloadavg()[0], 1)},
        "python": platform.python_version(),
        "rounds": rounds,
        "frames": frames,
        **measured,
    }
    atomic_write_json(result, made)
    sys.stdout.write(json.dumps(made) + "\n")


def classifier(settings: Any, folder: Path, calibrate: Any, judge: Any) -> tuple[Path, list[np.ndarray], Any, Any]:
    """EfficientNet-Lite2 on one view of 260 pixels, judged through the quickest head of the starter pack."""
    table = load_starter().table
    specs = [CandidateSpec("baseline", weight_decay=0.01)]
    head = train_heads(table, settings.training, 0, specs=specs).head
    preprocessor = get_preprocessor(settings.models.preprocessing)
    side = preprocessor.view_size
    lite2 = cached_lite2(settings.paths.resolve("data") / "cache")
    path = fold(lite2, folder / "lite2.onnx", (1, side, side, 3), ("embedding",))

    class Backbone:
        name, dim = "efficientnet-lite2", 1280

        def __init__(self, run: Run) -> None:
            self._run = run

        def embed(self, views: np.ndarray) -> np.ndarray:
            return np.concatenate([self._run(np.ascontiguousarray(view[None]))[0] for view in views])

    def decide(run: Run) -> np.ndarray:
        return np.asarray(head.predict_logit(extract(judge, Backbone(run), preprocessor)) > 0, float)  # type: ignore[arg-type]

    views = [np.ascontiguousarray(preprocessor.views(frame.pixels)[:1]) for frame in calibrate]
    return path, views, decide, views[0]


def detectors(folder: Path, calibrate: Any, judge: Any) -> tuple[Path, list[np.ndarray], Any, Any]:
    """YOLO12n at 640x384, judged by whether it finds any device."""

    def planes(frame: Any) -> np.ndarray:
        image, *_ = letterbox(frame.pixels, *YOLO_SIZE)
        return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255)

    path = fold(WEIGHTS_FOLDER / "yolo12n.onnx", folder / "yolo12n.onnx", (1, 3, YOLO_SIZE[1], YOLO_SIZE[0]))

    def decide(run: Run) -> np.ndarray:
        return np.array([float(run(planes(frame))[0][0, 4:].max() >= COUNTED) for frame in judge])

    inputs = [planes(frame) for frame in calibrate]
    return path, inputs, decide, inputs[0]


def measure(
    path: Path, batches: list[np.ndarray], decide: Any, example: np.ndarray, y: np.ndarray, scratch: Path, rounds: int
) -> dict[str, Any]:
    """Speed and decisions of one stage on every runtime."""
    int8 = quantize(path, scratch.with_suffix(".int8.onnx"), batches, "static").path
    runs: dict[str, Run] = {
        REFERENCE: open_runtime(path, "onnxruntime", 1),
        "torch eager fp32": TorchGraph(path),
        "openvino fp32": open_runtime(path, "openvino", 1),
        "onnxruntime int8": open_runtime(int8, "onnxruntime", 1),
        "openvino int8": open_runtime(int8, "openvino", 1),
    }
    wanted = runs[REFERENCE](example)[0]
    differences = {
        name: float(np.abs(run(example)[0] - wanted).max() / np.abs(wanted).max()) for name, run in runs.items()
    }
    timings = interleave({name: (lambda run=run: run(example)) for name, run in runs.items()}, rounds)
    decisions = {name: decide(run) for name, run in runs.items()}
    reference = mcc(decisions[REFERENCE], y)
    return {
        name: {
            **timings[name].to_dict(),
            "ratio": round(faster(timings[name], timings[REFERENCE]).ratio, 3),
            "difference": round(differences[name], 6),
            "mcc": round(mcc(decisions[name], y), 4),
            "mcc_change": round(mcc(decisions[name], y) - reference, 4),
            "decisions_changed": int((decisions[name] != decisions[REFERENCE]).sum()),
        }
        for name in runs
    }


def cpu_name() -> str:
    """The CPU's name as Linux has it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    given = [int(value) for value in sys.argv[1:3]]
    main(*(given + [40, 60][len(given) :]))
