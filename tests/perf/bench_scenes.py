"""How fast the street world renders, in frames per second of one core; ends with one JSON line.

Run: python tests/perf/bench_scenes.py [--write]. Processor time is counted, so that neighbours on the machine do not
change the result much; wall time stands beside it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from streetvision_core.data.scenes import compose, drive, render
from streetvision_core.storage import atomic_write_json


def rate(make, count: int) -> dict[str, float]:
    start, wall = time.process_time(), time.perf_counter()
    for number in range(count):
        make(number)
    used, passed = time.process_time() - start, time.perf_counter() - wall
    return {"frames_per_cpu_second": round(count / used, 1), "frames_per_wall_second": round(count / passed, 1)}


def main() -> None:
    cv2.setNumThreads(1)
    photo = np.full((800, 1360, 3), 120, np.uint8)
    start = time.perf_counter()
    for seed in range(40):
        render(seed)
    cold = time.perf_counter() - start
    result = {
        "benchmark": "scenes",
        "size": "480x270",
        "threads": 1,
        "first_40_frames_seconds": round(cold, 2),
        "render": rate(lambda n: render(1000 + n), 100),
        "render_negative": rate(lambda n: render(1000 + n, roadwork=False), 60),
        "compose_1360x800": rate(lambda n: compose(photo, n), 30),
    }
    frames = drive(7, 60)
    result["drive"] = rate(lambda n: next(frames), 60)
    if "--write" in sys.argv:
        atomic_write_json(Path(__file__).parents[2] / "docs" / "benchmarks" / "scenes.json", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
