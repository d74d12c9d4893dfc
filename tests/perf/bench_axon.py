"""Our `POST /ImageSynapse` next to bittensor's own axon (10.5.0), the same stub model behind both, A B A B in one run.

Run: python tests/perf/bench_axon.py [seconds per measurement]; prints one JSON line last and writes
docs/benchmarks/axon.json. Needs the environment of `envs/make.sh bt10`, which it makes.

* `sn72`: our whole gateway – headers, signature, nonce on disk, permit, rate, body, hash, metrics – and a model that
  answers at once.
* `axon`: the SDK's axon with its own verification and a forward function that answers at once.
* `http`: the same gateway's plain path; `bare`: Starlette and uvicorn answering a constant; what we add is the
  difference.

Requests per second are given per core of the server process (its CPU time), because client and server share a machine.
Every query is signed anew by the client. The axon does neither admission, cache, log nor metrics.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.images.decode import encode_jpeg
from streetvision_core.serving.protocols.sn72.client import Asker
from streetvision_core.serving.protocols.sn72.keys import KeyPair
from streetvision_core.settings import load_settings
from streetvision_core.storage import atomic_write_json

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "benchmarks" / "axon.json"
SEED, CALLER = b"o" * 32, KeyPair.from_seed(b"c" * 32)
OURS = KeyPair.from_seed(SEED)
ALLOWED_PER_CORE, ALLOWED_P99_SECONDS = 1500, 0.005
CONNECTIONS = 16


@dataclass(frozen=True)
class Load:
    """What one measurement saw."""

    requests_per_second: float
    requests_per_core_second: float
    p50_seconds: float
    p99_seconds: float


def build_app(kind: str, home: Path) -> Any:
    """The application under test."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from streetvision_core.serving.admission import Places
    from streetvision_core.serving.backend import Answer, Image
    from streetvision_core.serving.cache import MemoryCache
    from streetvision_core.serving.gateway import Gateway
    from streetvision_core.serving.log import LogWriter
    from streetvision_core.serving.metrics import Metrics
    from streetvision_core.serving.protocols.http import HttpProtocol
    from streetvision_core.serving.protocols.sn72.protocol import Sn72Protocol
    from streetvision_core.types import Evidence, Stage, Verdict

    async def bare(request: Request) -> Response:
        await request.body()
        return Response(b'{"prediction":0.9}', media_type="application/json")

    if kind == "bare":
        return Starlette(routes=[Route("/{path}", bare, methods=["POST"])])
    base = load_settings("embedded")
    own = {"hotkey": OURS.address, "allow_hotkeys": (CALLER.address,)}
    own |= {"queries_per_minute": 1e9, "burst_queries": 10**9, "max_nonces": 10**9}
    settings = base.model_copy(
        update={"sn72": base.sn72.model_copy(update=own), "paths": base.paths.model_copy(update={"home": home})}
    )
    verdict = Verdict(0.9, "classifier", True, (Evidence("classifier", {}),), "v1", "stub", 0.0)
    answer = Answer(verdict, 640, 360, "native")

    class Instant:
        def identity(self, image: Image | None = None) -> tuple[str, str]:
            return "v1", "stub"

        def instead_of(self, version: str) -> str:
            return ""

        def reference(self, version: str) -> tuple[float, ...]:
            return ()

        def stages(self) -> tuple[Stage, ...]:
            return ()

        async def answer(self, image: Image, deadline: float | None = None, partial: bool = False) -> Answer:
            return answer

    metrics = Metrics()
    gateway = Gateway(
        Instant(), MemoryCache(0, 1), LogWriter(None, settings.serving, metrics), Places(CONNECTIONS * 4), metrics
    )
    http = HttpProtocol(gateway, settings, metrics)
    sn72 = Sn72Protocol(gateway, settings, metrics)
    return Starlette(routes=[*sn72.routes(), Route("/v1/predict", http.predict, methods=["POST"])])


def serve_ours(kind: str) -> None:
    """A process of its own, which speaks as `axon_server.py` does."""
    from streetvision_core.serving.run import in_background

    with tempfile.TemporaryDirectory() as home, in_background(build_app(kind, Path(home))) as url:
        print(url.rsplit(":", 1)[1], flush=True)
        for _ in sys.stdin:
            print(time.process_time(), flush=True)


@contextmanager
def server(kind: str, axon_python: str) -> Iterator[tuple[int, Callable[[], float]]]:
    """Its port, and what tells its CPU seconds."""
    axon = [axon_python, str(Path(__file__).with_name("axon_server.py")), f"0x{SEED.hex()}"]
    ours = [sys.executable, __file__, "--serve", kind]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, **({"HOME": home, "PYTHONPATH": ""} if kind == "axon" else {})}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        process = subprocess.Popen(axon if kind == "axon" else ours, env=environment, **pipes)  # type: ignore[call-overload]

        def ask() -> str:
            while not (line := process.stdout.readline().strip()).replace(".", "").isdigit():
                assert process.poll() is None, "the server ended"
            return line

        def seconds() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(ask())

        try:
            yield int(ask()), seconds
        finally:
            process.kill()
            process.wait()


def signed(asker: Asker, image: bytes) -> bytes:
    query = asker.query(image, 9.0)
    lines = [f"POST {query.path} HTTP/1.1", "Host: x", f"Content-Length: {len(query.body)}"]
    lines += [f"{name}: {value}" for name, value in query.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + query.body


def plain(image: bytes) -> bytes:
    head = f"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
    return head.encode() + image


async def drive(port: int, kind: str, image: bytes, connections: int, seconds: float) -> list[float]:
    """Sends as fast as the connections allow. Each has its own uuid: the axon wants nonces of one uuid in order."""
    ends, took = time.perf_counter() + seconds, []

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        asker = Asker(CALLER, OURS.address)
        while time.perf_counter() < ends:
            request = plain(image) if kind == "http" else signed(asker, image)
            started = time.perf_counter()
            writer.write(request)
            headers = await reader.readuntil(b"\r\n\r\n")
            length = int(headers.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took.append(time.perf_counter() - started)
            assert headers.startswith(b"HTTP/1.1 200"), headers
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return took


def measure(kind: str, image: bytes, connections: int, seconds: float, axon_python: str) -> Load:
    """One measurement in a fresh process; the first half second is not counted."""
    with server(kind, axon_python) as (port, cpu_seconds):
        asyncio.run(drive(port, kind, image, connections, 0.5))
        before = cpu_seconds()
        took = np.array(asyncio.run(drive(port, kind, image, connections, seconds)))
        busy = cpu_seconds() - before
    p50, p99 = (float(np.quantile(took, q)) for q in (0.5, 0.99))
    return Load(round(len(took) / seconds, 1), round(len(took) / busy, 1), round(p50, 6), round(p99, 6))


def main(seconds: float) -> None:
    made = subprocess.run(
        [ROOT / "envs" / "make.sh", "bt10"],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    python = made.stdout.strip()
    rng = np.random.default_rng(0)
    small = encode_jpeg(rng.integers(0, 255, (96, 96, 3), np.uint8))
    large = encode_jpeg(rng.integers(0, 255, (540, 960, 3), np.uint8))

    def run(kind: str, image: bytes = small, connections: int = CONNECTIONS) -> Load:
        load = measure(kind, image, connections, seconds, python)
        sys.stderr.write(f"{kind:5} {len(image):7} bytes {connections:3} connections: {load}\n")
        return load

    crowded: dict[str, list[Load]] = {"sn72": [], "axon": []}
    for kind in ("sn72", "axon", "sn72", "axon"):
        crowded[kind].append(run(kind))
    big = {kind: run(kind, large) for kind in ("sn72", "axon")}
    http = run("http")
    alone = {kind: run(kind, connections=1) for kind in ("bare", "sn72", "axon", "http")}
    bare_again = run("bare", connections=1)
    rates = {kind: sum(load.requests_per_core_second for load in loads) / 2 for kind, loads in crowded.items()}
    bare_p99 = (alone["bare"].p99_seconds + bare_again.p99_seconds) / 2
    added = {kind: round(alone[kind].p99_seconds - bare_p99, 6) for kind in ("sn72", "axon", "http")}
    result = {
        "benchmark": "axon",
        "sn72_requests_per_core_second": round(rates["sn72"], 1),
        "axon_requests_per_core_second": round(rates["axon"], 1),
        "ratio": round(rates["sn72"] / rates["axon"], 2),
        "ratio_large_image": round(big["sn72"].requests_per_core_second / big["axon"].requests_per_core_second, 2),
        "http_requests_per_core_second": http.requests_per_core_second,
        "added_p99_seconds": added,
        "allowed_requests_per_core_second": ALLOWED_PER_CORE,
        "allowed_added_p99_seconds": ALLOWED_P99_SECONDS,
        "within_budget": {
            "http": http.requests_per_core_second >= ALLOWED_PER_CORE and added["http"] < ALLOWED_P99_SECONDS,
            "sn72": rates["sn72"] >= ALLOWED_PER_CORE and added["sn72"] < ALLOWED_P99_SECONDS,
        },
        "sixteen_connections": {kind: [vars(load) for load in loads] for kind, loads in crowded.items()},
        "sixteen_connections_large": {kind: vars(load) for kind, load in big.items()},
        "one_connection": {**{kind: vars(load) for kind, load in alone.items()}, "bare_again": vars(bare_again)},
        "image_bytes": {"small": len(small), "large": len(large)},
        "load_average": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_ours(sys.argv[2])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)
