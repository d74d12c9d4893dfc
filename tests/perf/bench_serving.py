"""What the server itself costs: requests a second and added time with a stub model.

Run: python tests/perf/bench_serving.py [seconds per measurement]; prints one JSON line last and writes
docs/benchmarks/serving.json. The server and the client that drives it are two processes.

* `gateway`: the model answers at once and nothing is decoded, so what is left is HTTP, admission, hashing, cache and
  metrics; the cache is off, so every request takes the whole way.
* `whole`: the stub engine behind decoding and batching, 640 x 360 JPEGs.
* `cached`: the same image again.
* `bare`: the same Starlette and uvicorn answering a constant, measured before and after (A B A); what our gateway adds
  is the difference.

Requests per second are given per core of the server process (its CPU time), because client and server share a machine.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.images.decode import encode_jpeg
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "serving.json"
IMAGES = 16
ALLOWED_PER_CORE, ALLOWED_P99_SECONDS = 1500, 0.005


@dataclass(frozen=True)
class Load:
    """What one measurement saw."""

    requests_per_second: float
    requests_per_core_second: float
    p50_seconds: float
    p99_seconds: float

    def to_dict(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 6) for name in self.__annotations__}


def build_app(kind: str) -> Any:
    """The application under test."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from streetvision_core.serving.admission import Places
    from streetvision_core.serving.app import create_app
    from streetvision_core.serving.backend import Answer, Image
    from streetvision_core.serving.cache import MemoryCache
    from streetvision_core.serving.gateway import Gateway
    from streetvision_core.serving.log import LogWriter
    from streetvision_core.serving.metrics import Metrics
    from streetvision_core.serving.protocols.http import HttpProtocol
    from streetvision_core.serving.stub import StubEngine
    from streetvision_core.types import Evidence, Verdict

    settings = load_settings("embedded")
    if kind in ("whole", "cached"):
        entries = 100 if kind == "cached" else 0
        serving = settings.serving.model_copy(update={"cache_entries": entries})
        return create_app(StubEngine(), settings.model_copy(update={"serving": serving}))

    async def bare(request: Request) -> Response:
        await request.body()
        return Response(b'{"p_roadwork":0.9}', media_type="application/json")

    if kind == "bare":
        return Starlette(routes=[Route("/v1/predict", bare, methods=["POST"])])

    answer = Answer(
        Verdict(0.9, "classifier", True, (Evidence("classifier", {}),), "v1", "stub", 0.0), 640, 360, "native"
    )

    class Instant:
        def identity(self, image: Image | None = None) -> tuple[str, str]:
            return "v1", "stub"

        def instead_of(self, version: str) -> str:
            return ""

        def reference(self, version: str) -> tuple[float, ...]:
            return ()

        async def answer(self, image: Image, deadline: float | None = None, partial: bool = False) -> Answer:
            return answer

    metrics = Metrics()
    log = LogWriter(None, settings.serving, metrics)
    gateway = Gateway(Instant(), MemoryCache(0, 1), log, Places(64), metrics)
    http = HttpProtocol(gateway, settings, metrics)
    return Starlette(routes=[Route("/v1/predict", http.predict, methods=["POST"])])


def run_server(kind: str, pipe: Any) -> None:
    """A process of its own: says its URL, then, when asked, its CPU seconds and resident memory."""
    from streetvision_core.serving.run import in_background

    with in_background(build_app(kind)) as url:
        time.sleep(0.5)
        pipe.send(int(url.rsplit(":", 1)[1]))
        while pipe.recv() != "stop":
            pipe.send((time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


async def drive(port: int, bodies: list[bytes], concurrency: int, seconds: float) -> list[float]:
    """Sends as fast as `concurrency` connections allow; a client lighter than any HTTP library."""
    lines = ("POST /v1/predict HTTP/1.1", "Host: 127.0.0.1", "Content-Type: image/jpeg", "Content-Length: {}")
    head = "\r\n".join([*lines, "", ""])
    requests = [head.format(len(body)).encode() + body for body in bodies]
    ends, took = time.perf_counter() + seconds, []

    async def work(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = first
        while time.perf_counter() < ends:
            started = time.perf_counter()
            writer.write(requests[number % len(requests)])
            headers = await reader.readuntil(b"\r\n\r\n")
            length = int(headers.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - started)
            assert headers.startswith(b"HTTP/1.1 200"), headers
            number += 1
        writer.close()

    await asyncio.gather(*(work(i) for i in range(concurrency)))
    return took


def measure(kind: str, bodies: list[bytes], seconds: float, concurrency: int) -> tuple[Load, int]:
    """Load and peak resident bytes of one application; the first half second is not counted."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_server, args=(kind, there))
    process.start()
    port = here.recv()
    asyncio.run(drive(port, bodies, concurrency, 0.5))
    here.send("usage")
    before, _ = here.recv()
    took = np.array(asyncio.run(drive(port, bodies, concurrency, seconds)))
    here.send("usage")
    after, memory = here.recv()
    here.send("stop")
    process.join()
    p50, p99 = np.quantile(took, [0.5, 0.99])
    return Load(len(took) / seconds, len(took) / (after - before), float(p50), float(p99)), memory


def main(seconds: float) -> None:
    rng = np.random.default_rng(0)
    tiny = [encode_jpeg(rng.integers(0, 255, (96, 96, 3), np.uint8)) for _ in range(IMAGES)]
    smooth = rng.integers(40, 200, (IMAGES, 9, 16, 3), np.uint8).repeat(40, axis=1).repeat(40, axis=2)
    photos = [encode_jpeg(pixels) for pixels in smooth]
    bare_before, _ = measure("bare", tiny, seconds, 1)
    gateway, memory = measure("gateway", tiny, seconds, 1)
    bare_after, _ = measure("bare", tiny, seconds, 1)
    crowded, _ = measure("gateway", tiny, seconds, 16)
    whole, _ = measure("whole", photos, seconds, 16)
    cached, _ = measure("cached", photos[:1], seconds, 16)
    bare_p99 = (bare_before.p99_seconds + bare_after.p99_seconds) / 2
    added = gateway.p99_seconds - bare_p99
    result = {
        "benchmark": "serving",
        "gateway_requests_per_core_second": round(crowded.requests_per_core_second, 1),
        "allowed_requests_per_core_second": ALLOWED_PER_CORE,
        "gateway_added_p50_seconds": round(
            gateway.p50_seconds - (bare_before.p50_seconds + bare_after.p50_seconds) / 2, 6
        ),
        "gateway_added_p99_seconds": round(added, 6),
        "allowed_added_p99_seconds": ALLOWED_P99_SECONDS,
        "within_budget": crowded.requests_per_core_second >= ALLOWED_PER_CORE and added < ALLOWED_P99_SECONDS,
        "gateway_resident_bytes": memory,
        "one_connection": {
            "bare": bare_before.to_dict(),
            "gateway": gateway.to_dict(),
            "bare_again": bare_after.to_dict(),
        },
        "sixteen_connections": {"gateway": crowded.to_dict(), "whole": whole.to_dict(), "cached": cached.to_dict()},
        "image_bytes": {"gateway": len(tiny[0]), "whole": len(photos[0])},
        "niceness": os.nice(0),
        "load_average": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
