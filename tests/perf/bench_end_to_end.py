"""Requests a second with the embedded cascade, next to a plain FastAPI loop that runs the same cascade.

Run: python -m tests.perf.bench_end_to_end [seconds per measurement]; prints one JSON line last and writes
docs/benchmarks/end_to_end.json.

* `ours`: `streetvision serve`, gateway and model server as two processes, cache off.
* `plain`: FastAPI and uvicorn, one process, one image at a time: decode, predict, answer.

Both serve the same version on the same frames (rendered, 480 x 270 JPEG, half with road work), at 1, 16 and 64
connections, in one run, A B A B. Client and servers share the machine.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, Request

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.engine import Cascade
from streetvision_core.data import scenes
from streetvision_core.data.starter import load_starter
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import Settings, load_settings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import train_heads
from streetvision_core.training.spec import CandidateSpec
from tests.perf.served import Caller, served

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "end_to_end.json"
CONNECTIONS = (1, 16, 64)
FRAMES = 64


def install_champion(home: Path) -> Path:
    """A champion from the starter pack, with the plainest head; its folder."""
    settings, table = load_settings("embedded"), load_starter().training_table()
    head = train_heads(table, settings.training, 0, specs=[CandidateSpec("baseline", weight_decay=0.01)]).head
    made = home / "made"
    head.save(made)
    fit_cascade(table, head, settings).save(made)
    registry = Registry(home / "data" / "models")
    version = registry.create(made, {})
    registry.install_first(version, by="a benchmark")
    return version.folder


def plain_server(folder: Path, settings: Settings, pipe: Any) -> None:
    """What one would write in an afternoon: one process, one image at a time."""
    from streetvision_core.serving.run import in_background

    app, cascade = FastAPI(), Cascade.from_version(folder, settings)

    @app.post("/v1/predict", response_model=None)
    async def predict(request: Request) -> dict[str, Any]:
        frame = decode_image(await request.body(), "request")
        return cascade.predict([frame])[0].to_dict()

    cascade.predict([scenes.render(1).frame])
    with in_background(app) as url:
        pipe.send(int(url.rsplit(":", 1)[1]))
        pipe.recv()


@contextmanager
def plain(folder: Path, settings: Settings) -> Iterator[int]:
    """The plain loop's port."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=plain_server, args=(folder, settings, there))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("stop")
        process.join(30)
        if process.is_alive():
            process.terminate()


async def drive(port: int, bodies: list[bytes], connections: int, seconds: float) -> dict[str, float]:
    """Requests a second and times; what is under way at the end is waited for and counted."""
    took: list[float] = []
    began = time.perf_counter()

    async def call(number: int) -> None:
        caller = Caller(port)
        while time.perf_counter() - began < seconds:
            started = time.perf_counter()
            status, answer = await caller.post(bodies[number % len(bodies)])
            if status != 200:
                raise RuntimeError(f"status {status}: {answer}")
            took.append(time.perf_counter() - started)
            number += 1
        caller.close()

    await asyncio.gather(*(call(i) for i in range(connections)))
    wall = time.perf_counter() - began
    p50, p99 = np.quantile(took, [0.5, 0.99])
    return {
        "requests_per_second": round(len(took) / wall, 2),
        "p50_seconds": round(float(p50), 4),
        "p99_seconds": round(float(p99), 4),
        "requests": len(took),
    }


def measure(home: Path, seconds: float, connections: tuple[int, ...] = CONNECTIONS) -> dict[str, Any]:
    """Two rounds of each server at each number of connections."""
    load = os.getloadavg()[0]
    folder = install_champion(home)
    settings = load_settings("embedded")
    rendered = [scenes.render(seed, roadwork=seed % 2 == 0).frame.pixels for seed in range(FRAMES)]
    bodies = [encode_jpeg(pixels, 90) for pixels in rendered]
    rounds: dict[str, dict[int, list[dict[str, float]]]] = {w: {c: [] for c in connections} for w in ("plain", "ours")}
    for _ in range(2):
        with plain(folder, settings) as port:
            for count in connections:
                rounds["plain"][count].append(asyncio.run(drive(port, bodies, count, seconds)))
        with served(home, None, cache_entries=0, deadline_seconds=60) as server:
            for count in connections:
                rounds["ours"][count].append(asyncio.run(drive(server.port, bodies, count, seconds)))
            memory = server.resident_bytes()

    def rate(who: str, count: int) -> float:
        return float(np.mean([one["requests_per_second"] for one in rounds[who][count]]))

    return {
        "benchmark": "end_to_end",
        "seconds_per_measurement": seconds,
        "connections": {
            str(count): {
                "ratio": round(rate("ours", count) / rate("plain", count), 3),
                "ours": rounds["ours"][count],
                "plain": rounds["plain"][count],
            }
            for count in connections
        },
        "resident_bytes": memory,
        "threads_per_session": settings.models.threads,
        "load_average_at_start": round(load, 1),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        result = measure(Path(name), float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")
