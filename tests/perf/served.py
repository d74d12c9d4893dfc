"""`serve` as its own process, with model servers as its children, for benchmarks and soaks; and a light client.

Everything is started here, on loopback, and ended with the context.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUB_MODEL = """
import sys
from streetvision_core.serving.run import serve_model
from streetvision_core.serving.stub import StubEngine
from streetvision_core.settings import Settings
settings = Settings.model_validate_json(sys.stdin.readline())
serve_model(settings, sys.argv[1], lambda version: StubEngine(version.name, {think}), supervised=True)
"""
SERVE = """
import logging, sys, structlog
from streetvision_core.serving.run import serve
from streetvision_core.settings import load_settings
structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=structlog.PrintLoggerFactory(sys.stdout),
)
serve(load_settings("embedded"), port=0, command={command!r})
"""
_HEAD = "POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\n"


@dataclass(frozen=True)
class Served:
    """A running gateway.

    Attributes:
        port: on 127.0.0.1.
        process: the gateway's.
        log: what it has printed so far.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def models(self) -> list[int]:
        """Process ids of its model servers."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        return [int(pid) for pid in found]

    async def models_up(self) -> int:
        """How many model servers the gateway has found ready at its last look."""
        _, body = await _get(self.port, "/metrics")
        return len(re.findall(rb"^sv_model_server_up\{[^}]*\} 1\.0$", body, re.MULTILINE))

    def resident_bytes(self) -> dict[str, int]:
        """Memory of the gateway and, together, of its model servers."""
        return {"gateway": _resident(self.process.pid), "models": sum(map(_resident, self.models()))}


def install_stub_champion(home: Path) -> None:
    """A registry whose champion needs no model."""
    from streetvision_core.registry.versions import Registry

    registry = Registry(home / "data" / "models")
    registry.install_first(registry.create({"head.json": b"{}"}, {}), by="a benchmark")


@contextmanager
def served(home: Path, think_seconds: float | None = 0.0, **serving: Any) -> Iterator[Served]:
    """A gateway with its model servers.

    Args:
        home: the workspace; it has a champion.
        think_seconds: the stub's; None serves the champion's own cascade.
        **serving: keys of the settings section `serving`.
    """
    model = STUB_MODEL.format(think=think_seconds)
    command = None if think_seconds is None else [sys.executable, "-u", "-c", model]
    own = {f"SV_SERVING__{key.upper()}": str(value) for key, value in serving.items()}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SV_")}
    environment = {**clean, "SV_PATHS__HOME": str(home), "NO_COLOR": "1", **own}
    log = home / "serve.log"
    with log.open("wb") as file:
        code = SERVE.format(command=command)
        process = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=file, stderr=file, env=environment)
    try:
        found = wait_for(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()), process, log)
        running = Served(int(found.group(1)), process, log)
        wait_for(lambda: asyncio.run(_ready(running.port)), process, log)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Any, process: subprocess.Popen[bytes], log: Path, seconds: float = 180) -> Any:
    """What the condition gives once it is true; a machine that is busy needs long to start a process."""
    ends = time.monotonic() + seconds
    while not (value := condition()):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
    return value


class Caller:
    """One kept connection; reconnects once when the server has closed it between two requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one image's answer.

        Raises:
            OSError, asyncio.IncompleteReadError: the request was lost on the way.
        """
        head = f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        if self._line is None:
            self._line = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._line
        try:
            writer.write(head.encode() + body)
            headers = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(headers.split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
        except BaseException:
            self.close()
            raise
        if b"connection: close" in headers:
            self.close()
        return int(headers.split(b" ", 2)[1]), answer

    def close(self) -> None:
        """Ends the connection."""
        if self._line is not None:
            self._line[1].close()
            self._line = None


async def _ready(port: int) -> bool:
    return (await _get(port, "/health/ready"))[0] == 200


async def _get(port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ", 2)[1]), body


def _resident(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return 1024 * int(found.group(1)) if found else 0
