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
from dataclasses import dataclass, field
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
IMAGES, MODELS = 64, 2


def images() -> list[tuple[bytes, float]]:
    """Encoded images and the stub's right answer to each."""
    encoded = [encode_jpeg(np.full((32, 48, 3), 4 * i, np.uint8)) for i in range(IMAGES)]
    verdicts = StubEngine().predict([decode_image(data, str(i)) for i, data in enumerate(encoded)])
    return [(data, verdict.p_roadwork) for data, verdict in zip(encoded, verdicts, strict=True)]


@dataclass
class Run:
    """One soak: when it ends, and what came of it."""

    server: Served
    ends: float
    kills: int
    patient: bool
    tally: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether no new request and no new kill begins."""
        return time.monotonic() > self.ends or self.tally["kills"] >= self.kills

    async def call(self, number: int) -> None:
        """One connection's requests, one after the other."""
        known, caller = images(), Caller(self.server.port)
        while not self.over:
            data, expected = known[number % len(known)]
            number += 7
            began = time.monotonic()
            try:
                status, answer = await asyncio.wait_for(caller.post(data), REQUEST_SECONDS + 10)
            except (OSError, EOFError, TimeoutError) as error:
                self.tally[f"lost: {type(error).__name__}"] += 1
                continue
            self.took.append(time.monotonic() - began)
            if status == 200:
                self.tally["answered" if answer["p_roadwork"] == expected else "wrong"] += 1
            elif answer.get("error") in REFUSALS:
                self.tally["refused"] += 1
                await asyncio.sleep(0.05)
            else:
                self.tally[f"lost: {status} {answer.get('error')}"] += 1
        caller.close()

    async def kill(self, rng: random.Random) -> None:
        """Kills a model server, drawn at random, after a random pause; and again."""
        while not self.over:
            await asyncio.sleep(rng.uniform(*KILL_SECONDS))
            if self.patient or rng.random() < 0.5:
                while await self.server.models_up() < MODELS and not self.over:
                    await asyncio.sleep(0.1)
            models = await asyncio.to_thread(self.server.models)
            if models and not self.over:
                os.kill(rng.choice(models), signal.SIGKILL)
                self.tally["kills"] += 1


def soak(
    home: Path, seconds: float, connections: int, kills: int = 10**6, patient: bool = False, seed: int = 0
) -> dict[str, Any]:
    """Runs until so many seconds have passed or so many kills were made, and counts.

    Args:
        home: an empty workspace.
        seconds: the longest.
        connections: each sends one request after the other.
        kills: then it ends.
        patient: a kill waits until every model server is up again; else every second one may meet the last one.
        seed: for the pauses and the victims.
    """

    async def run(server: Served) -> Run:
        one = Run(server, time.monotonic() + seconds, kills, patient)
        await asyncio.gather(one.kill(random.Random(seed)), *(one.call(i) for i in range(connections)))
        return one

    install_stub_champion(home)
    limits = {"deadline_seconds": REQUEST_SECONDS, "cache_entries": 0, "model_processes": MODELS, "look_seconds": 0.1}
    began = time.monotonic()
    with served(home, THINK_SECONDS, **limits) as server:
        done = asyncio.run(run(server))
    tally, took = done.tally, done.took
    return {
        "benchmark": "soak",
        "seconds": round(time.monotonic() - began, 1),
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
