"""Resident memory of gateway and model server over many requests with a stub model: flat, or growing?

Run: python -m tests.perf.bench_memory [requests] [connections]; prints one JSON line last and writes
docs/benchmarks/memory.json.

Every request carries another image (bytes no one has seen), so each takes the whole way: HTTP, cache, border,
decoding, batching, engine, query log. The cache holds 2,000 verdicts here, so that it is full
long before the memory is judged.
Judged is what comes after the first fifth: the slope of a straight line through it, and its last third against its
first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.images.decode import encode_jpeg
from streetvision_core.storage import atomic_write_json
from tests.perf.served import Caller, Served, install_stub_champion, served

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "memory.json"
SAMPLES = 50
WARM_UP = 0.2
CACHE = 2000
MAX_SECONDS = 1800.0


async def drive(server: Served, requests: int, connections: int) -> list[tuple[int, dict[str, int]]]:
    """Sends them all and looks at the memory now and then: (requests done, bytes)."""
    body = encode_jpeg(np.full((32, 48, 3), 90, np.uint8))
    done, sent, seen = 0, 0, [(0, server.resident_bytes())]
    ends = time.monotonic() + MAX_SECONDS

    async def call() -> None:
        nonlocal done, sent
        caller = Caller(server.port)
        while sent < requests and time.monotonic() < ends:
            sent += 1
            # bytes behind the end of a JPEG change its digest and not its pixels
            status, answer = await caller.post(body + sent.to_bytes(8, "big"))
            if status != 200 or answer["cached"]:
                raise RuntimeError(f"status {status}: {answer}")
            done += 1
            if done % max(1, requests // SAMPLES) == 0:
                seen.append((done, await asyncio.to_thread(server.resident_bytes)))
        caller.close()

    await asyncio.gather(*(call() for _ in range(connections)))
    return sorted(seen)


def judge(seen: list[tuple[int, dict[str, int]]], who: str) -> dict[str, Any]:
    """Growth of one process after the warm-up."""
    last = seen[-1][0]
    kept = [(at, memory[who]) for at, memory in seen if at >= WARM_UP * last]
    at, held = np.array(kept, dtype=float).T
    third = max(1, len(held) // 3)
    first_mean, last_mean = held[:third].mean(), held[-third:].mean()
    return {
        "start_bytes": seen[0][1][who],
        "after_warm_up_bytes": int(held[0]),
        "end_bytes": int(held[-1]),
        "bytes_per_request": round(float(np.polyfit(at, held, 1)[0]), 2) if len(kept) > 2 else None,
        "growth_percent": round(100 * float(last_mean / first_mean - 1), 2),
    }


def measure(home: Path, requests: int, connections: int) -> dict[str, Any]:
    """One run."""
    install_stub_champion(home)
    began = time.monotonic()
    with served(home, cache_entries=CACHE, deadline_seconds=60) as server:
        seen = asyncio.run(drive(server, requests, connections))
    memory = {who: judge(seen, who) for who in ("gateway", "models")}
    return {
        "benchmark": "memory",
        "requests": seen[-1][0],
        "connections": connections,
        **memory,
        "flat": all(abs(one["growth_percent"]) < 5 for one in memory.values()),
        "wall_seconds": round(time.monotonic() - began, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        result = measure(
            Path(folder),
            int(sys.argv[1]) if len(sys.argv) > 1 else 100_000,
            int(sys.argv[2]) if len(sys.argv) > 2 else 16,
        )
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")
