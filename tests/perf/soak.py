"""Random kills of the model servers under load: is an accepted request lost, is one answered wrongly?

Run: python -m tests.perf.soak [seconds] [connections]; prints one JSON line last and writes docs/benchmarks/soak.json.

Two model servers (stub engine, a few milliseconds of thought per image) behind one gateway; one of them, drawn at
random, is killed with SIGKILL again and again. The stub's answer follows from the pixels, so each one is checked. A
request counts as refused if the server said 429 or "not ready" at the door, as lost if it got no answer otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.serving.stub import StubEngine
from streetvision_core.storage import atomic_write_json
from tests.perf.served import Caller, Served, install_stub_champion, served

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "soak.json"
THINK_SECONDS = 0.005
REQUEST_SECONDS = 60.0
KILL_SECONDS = (0.5, 3.0)
REFUSALS = frozenset({"OverloadedError", "NotReadyError"})
IMAGES = 64


def images() -> list[tuple[bytes, float]]:
    """Encoded images and the stub's right answer to each."""
    encoded = [encode_jpeg(np.full((32, 48, 3), 4 * i, np.uint8)) for i in range(IMAGES)]
    verdicts = StubEngine().predict([decode_image(data, str(i)) for i, data in enumerate(encoded)])
    return [(data, verdict.to_dict()["p_roadwork"]) for data, verdict in zip(encoded, verdicts, strict=True)]


async def call(port: int, first: int, ends: float, tally: Counter[str], took: list[float]) -> None:
    """One connection's requests, one after the other."""
    known, caller, number = images(), Caller(port), first
    while time.monotonic() < ends:
        data, expected = known[number % len(known)]
        number += 7
        began = time.monotonic()
        try:
            status, answer = await asyncio.wait_for(caller.post(data), REQUEST_SECONDS + 10)
        except (OSError, EOFError, TimeoutError) as error:
            tally[f"lost: {type(error).__name__}"] += 1
            continue
        took.append(time.monotonic() - began)
        if status == 200:
            tally["answered" if answer["p_roadwork"] == expected else "wrong"] += 1
        elif answer.get("error") in REFUSALS:
            tally["refused"] += 1
            await asyncio.sleep(0.05)
        else:
            tally[f"lost: {status} {answer.get('error')}"] += 1
    caller.close()


async def kill(server: Served, ends: float, rng: random.Random, tally: Counter[str]) -> None:
    """Kills a model server, drawn at random, after a random pause; and again."""
    while True:
        await asyncio.sleep(rng.uniform(*KILL_SECONDS))
        if time.monotonic() > ends:
            return
        models = await asyncio.to_thread(server.models)
        if models:
            os.kill(rng.choice(models), signal.SIGKILL)
            tally["kills"] += 1


def soak(home: Path, seconds: float, connections: int, seed: int = 0) -> dict[str, Any]:
    """Runs for so many seconds and counts."""
    tally: Counter[str] = Counter()
    took: list[float] = []

    async def run(server: Served) -> None:
        ends = time.monotonic() + seconds
        calls = [call(server.port, i, ends, tally, took) for i in range(connections)]
        await asyncio.gather(kill(server, ends, random.Random(seed), tally), *calls)

    install_stub_champion(home)
    limits = {"deadline_seconds": REQUEST_SECONDS, "cache_entries": 0, "model_processes": 2, "look_seconds": 0.1}
    with served(home, THINK_SECONDS, **limits) as server:
        asyncio.run(run(server))
    return {
        "benchmark": "soak",
        "seconds": seconds,
        "connections": connections,
        "kills": tally["kills"],
        "answered": tally["answered"],
        "wrong": tally["wrong"],
        "refused_at_the_door": tally["refused"],
        "lost": sum(count for name, count in tally.items() if name.startswith("lost")),
        "lost_by_kind": {name: count for name, count in tally.items() if name.startswith("lost")},
        "p50_seconds": round(float(np.quantile(took, 0.5)), 4) if took else None,
        "p99_seconds": round(float(np.quantile(took, 0.99)), 4) if took else None,
        "worst_seconds": round(max(took), 3) if took else None,
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        result = soak(
            Path(folder),
            float(sys.argv[1]) if len(sys.argv) > 1 else 300.0,
            int(sys.argv[2]) if len(sys.argv) > 2 else 16,
        )
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")
