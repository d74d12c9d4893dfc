"""Several model servers behind one gateway: each image has its place in their order, and one that fails passes it on.

Which server answers follows from the image's sha256 and the weights (weighted rendezvous hashing), so that the same
image meets the same version while two versions serve, and a changed weight moves no more images than it must.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from streetvision_core.errors import (
    EngineError,
    ModelServerError,
    NotReadyError,
    OverloadedError,
    StreetVisionError,
)
from streetvision_core.serving._forever import forever
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.serving.engine import RETRY_SECONDS
from streetvision_core.serving.model_metrics import FleetMetrics
from streetvision_core.serving.remote import RemoteServer, Told
from streetvision_core.serving.servers import ServerSpec, read_specs
from streetvision_core.settings import ServingSettings
from streetvision_core.types import Stage

Ask = Callable[[RemoteServer, float | None], Awaitable[Told]]
"""Asks a server something that may take so many seconds."""
ATTEMPTS: Final = 3
"""An image on which so many model servers were lost in a row is not given to another: it may be what kills them."""
GRACE_SECONDS: Final = 30.0
"""So long after a server was lost, queries are still admitted: its supervisor is starting another."""
_log = structlog.get_logger(__name__)


class Fleet:
    """The backend of a gateway that has no model of its own.

    Args:
        specs: the model servers.
        settings: pauses and limits.
        metrics: what becomes of the attempts, and how the servers are.
        file: names the servers and may change while we run; None keeps `specs`.
    """

    def __init__(
        self, specs: Sequence[ServerSpec], settings: ServingSettings, metrics: FleetMetrics, file: Path | None = None
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._file = file
        self._file_time = _changed_at(file)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.servers: list[RemoteServer] = []
        self.set_servers(specs)

    def set_servers(self, specs: Sequence[ServerSpec]) -> None:
        """Takes over a new list; a server that stays keeps its connections, one that goes finishes what it holds."""
        known = {server.spec.url: server for server in self.servers}
        self.servers = []
        for spec in specs:
            server = known.get(spec.url) or RemoteServer(spec, self._news.set)
            server.spec = spec
            self.servers.append(server)
        self._metrics.observe_servers(self.servers)
        self._news.set()

    def identity(self, image: Image | None = None) -> tuple[str, str]:
        """Model version and policy that would answer an image; without an image, any.

        For an image, a server that was lost a moment ago counts: it may be there again before the deadline.

        Raises:
            NotReadyError: none would.
        """
        server = self._choose(image.sha256 if image else "", frozenset())
        if server is not None and server.status is not None:
            return server.status.version, server.status.policy
        if image is not None:
            recent = time.monotonic() - GRACE_SECONDS
            lost = [s for s in self.servers if s.spec.weight and s.last is not None and s.last_at > recent]
            if lost and lost[0].last is not None:
                return lost[0].last.version, lost[0].last.policy
        raise self._not_ready()

    def reference(self, version: str) -> tuple[float, ...]:
        """How the version's own probabilities were spread, if one of the servers said so."""
        told = [server.last for server in self.servers if server.last is not None and server.last.version == version]
        return told[0].reference if told else ()

    def stages(self) -> tuple[Stage, ...]:
        """The stages that some server which answers has; empty if none says."""
        return next((s.status.stages for s in self.servers if s.status is not None and s.spec.weight > 0), ())

    def instead_of(self, version: str) -> str:
        """The version that ought to serve where this one stands in for it; empty where it does not."""
        told = [server.status for server in self.servers if server.status is not None]
        return next((status.instead_of for status in told if status.version == version), "")

    async def answer(self, image: Image, deadline: float | None = None, partial: bool = False) -> Answer:
        """Answers one image by the first server that can.

        Raises:
            ModelServerError: several servers in a row were lost while they held it.
            StreetVisionError: the error that the last server named.
        """
        return await self._by_some(
            image.sha256,
            deadline,
            self._settings.attempt_seconds,
            lambda server, left: server.ask(image, left, partial),
        )

    async def answer_video(self, video: Image, deadline: float | None = None) -> dict[str, Any]:
        """The verdict over time of a video, by the first server that can; see `answer`."""
        return await self._by_some(video.sha256, deadline, None, lambda server, left: server.ask_video(video, left))

    async def _by_some(
        self, sha256: str, deadline: float | None, patience_seconds: float | None, ask: Ask[Told]
    ) -> Told:
        tried: set[str] = set()
        lost = 0
        last: StreetVisionError | None = None
        while True:
            self._news.clear()
            server = self._choose(sha256, tried)
            if server is None:
                if last is not None and not isinstance(last, ModelServerError | NotReadyError):
                    raise last
                tried.clear()
                await self._news.wait()
                continue
            tried.add(server.spec.url)
            try:
                other = self._choose(sha256, tried)
                return await self._attempt(server, deadline, None if other is None else patience_seconds, ask)
            except ModelServerError as error:
                lost, last = lost + 1, error
                if lost >= ATTEMPTS:
                    raise
            except (NotReadyError, OverloadedError, EngineError) as error:
                last = error
            except _TooSlowError:
                continue

    async def start(self) -> None:
        """Begins to look after the servers."""
        watch = forever("fleet", self.look, self._metrics.failures, self._settings.look_seconds)
        self._task = asyncio.create_task(watch, name="fleet")

    async def stop(self) -> None:
        """Ends all connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for server in self.servers:
            server.close()

    async def look(self) -> None:
        """Reads the file if it has changed and asks every server how it is."""
        self._read_file()
        await asyncio.gather(*(server.look() for server in self.servers))
        self._news.set()  # a rest may be over
        self._metrics.observe_servers(self.servers)

    async def _attempt(
        self, server: RemoteServer, deadline: float | None, patience_seconds: float | None, ask: Ask[Told]
    ) -> Told:
        """One server's try; not all of the time if another could still answer."""
        loop = asyncio.get_running_loop()
        left = None if deadline is None else deadline - loop.time()
        limit = patience_seconds
        if limit is not None and left is not None:
            limit = min(limit, left / 2)
        outcome = "cancelled"
        started = loop.time()
        try:
            async with asyncio.timeout(limit):
                answer = await ask(server, left)
            outcome = "answered"
            return answer
        except TimeoutError:
            outcome = "slow"
            server.note_slow()
            raise _TooSlowError from None
        except StreetVisionError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._metrics.attempts.labels(server.spec.name, outcome).inc()
            self._metrics.attempt_seconds.labels(server.spec.name).observe(loop.time() - started)

    def _choose(self, sha256: str, tried: set[str] | frozenset[str]) -> RemoteServer | None:
        ready = [s for s in self.servers if s.ready and s.spec.weight > 0 and s.spec.url not in tried]
        return max(ready, key=lambda s: _rank(sha256, s.spec), default=None)

    def _not_ready(self) -> NotReadyError:
        weighted = [server for server in self.servers if server.spec.weight > 0]
        if not weighted:
            return NotReadyError(
                got="weight 0 for every model server",
                allowed="at least one above 0",
                action="give one a weight",
                retry_after_seconds=1,
            )
        reason = weighted[0].reason
        if isinstance(reason, NotReadyError):
            return reason
        if weighted[0].last is None:
            return NotReadyError(
                got=f"no model server yet ({reason.got})",
                allowed="queries once /health/ready answers 200",
                action="wait while it starts; the very first start trains a version",
                retry_after_seconds=RETRY_SECONDS,
            )
        return NotReadyError(reason.got, reason.allowed, reason.action, retry_after_seconds=1)

    def _read_file(self) -> None:
        changed_at = _changed_at(self._file)
        if self._file is None or changed_at == self._file_time:
            return
        self._file_time = changed_at
        try:
            self.set_servers(read_specs(self._file))
        except StreetVisionError as error:
            _log.error("list of model servers cannot be used; the old one stays", error=str(error))
            return
        _log.info("model servers", **{s.spec.name: s.spec.weight for s in self.servers})


class _TooSlowError(Exception):
    """An attempt took too long and another server is there."""


def _rank(sha256: str, spec: ServerSpec) -> float:
    """Weighted rendezvous: the largest of -weight / ln(u) wins with a probability in proportion to its weight."""
    digest = hashlib.blake2b(f"{sha256} {spec.url}".encode(), digest_size=8).digest()
    return -spec.weight / math.log((int.from_bytes(digest) + 0.5) / 2**64)


def _changed_at(file: Path | None) -> int:
    try:
        return file.stat().st_mtime_ns if file is not None else 0
    except OSError:
        return 0
