"""The server as an ASGI application: everything is put together here, nothing is decided here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streetvision_core.errors import StreetVisionError
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving.admission import Places
from streetvision_core.serving.backend import Backend
from streetvision_core.serving.batching import Batcher
from streetvision_core.serving.cache import MemoryCache, VerdictCache
from streetvision_core.serving.engine import Engine, EngineSlot, warm_up
from streetvision_core.serving.gateway import Gateway
from streetvision_core.serving.local import LocalBackend
from streetvision_core.serving.log import LogWriter
from streetvision_core.serving.metrics import CONTENT_TYPE, Metrics
from streetvision_core.serving.page import page_response
from streetvision_core.serving.protocols._answers import error_response, json_response
from streetvision_core.serving.protocols.http import HttpProtocol
from streetvision_core.serving.protocols.openapi import describe
from streetvision_core.serving.reload import Champions, Watcher
from streetvision_core.settings import Settings

_log = structlog.get_logger(__name__)


def create_app(
    engine: Engine | None,
    settings: Settings,
    log: QueryLog | None = None,
    champions: Champions | None = None,
    cache: VerdictCache | None = None,
) -> Starlette:
    """The whole server in one process.

    Args:
        engine: answers from the start; None waits for `champions` to name one.
        settings: limits.
        log: where answers are written; closed when the server stops. None keeps no log.
        champions: asked every few seconds which version ought to serve; None keeps `engine`.
        cache: answers from before; an in-process cache if None.

    Returns:
        An ASGI application; its state holds `metrics`, for tests and for whoever embeds it.
    """
    metrics, serving = Metrics(), settings.serving
    slot = EngineSlot(metrics.observe_swap)
    batcher = Batcher(slot, serving.batch_images, serving.batch_wait_seconds, metrics)
    model = _LocalModel(engine, slot, batcher, LocalBackend(slot, batcher, settings, metrics), settings, metrics)
    writer = LogWriter(log, serving, metrics)
    app = _gateway_app(model.backend, writer, cache, settings, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        writer.start()
        await model.start(champions)
        yield
        await model.stop()
        if not await asyncio.to_thread(writer.stop, serving.drain_seconds):
            _log.error("query log not drained in time; the rest is lost and counted")

    app.router.lifespan_context = lifespan
    return app


def _gateway_app(
    backend: Backend, writer: LogWriter, cache: VerdictCache | None, settings: Settings, metrics: Metrics
) -> Starlette:
    """The part that knows protocols and no model."""
    serving = settings.serving
    places = Places(serving.queue_images)
    metrics.queue_depth.set_function(lambda: places.used)
    gateway = Gateway(
        backend, cache or MemoryCache(serving.cache_entries, serving.cache_seconds), writer, places, metrics
    )
    http = HttpProtocol(gateway, settings, metrics)
    document = describe()

    async def ready(_: Request) -> Response:
        try:
            version, policy = gateway.check_ready()
        except StreetVisionError as error:
            return error_response(error)
        return json_response({"status": "ready", "model_version": version, "policy": policy})

    async def live(_: Request) -> Response:
        return json_response({"status": "live"})

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    async def openapi(_: Request) -> Response:
        return json_response(document)

    async def page(_: Request) -> Response:
        return page_response()

    routes = [
        Route("/v1/predict", http.predict, methods=["POST"]),
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/metrics", show_metrics),
        Route("/openapi.json", openapi),
        Route("/", page),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _plain_error})
    app.state.metrics = metrics
    return app


class _LocalModel:
    """The model side of the process: first engine, batcher, hot reload."""

    def __init__(
        self,
        engine: Engine | None,
        slot: EngineSlot,
        batcher: Batcher,
        backend: LocalBackend,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.backend = backend
        self._engine = engine
        self._slot = slot
        self._batcher = batcher
        self._settings = settings.serving
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None

    async def start(self, champions: Champions | None) -> None:
        """Begins in the background: the server listens, and says that it is not ready, while a model loads."""
        self._batcher.start()
        self._task = asyncio.create_task(self._fill(champions), name="model")

    async def _fill(self, champions: Champions | None) -> None:
        if self._engine is not None:
            try:
                self._slot.swap(await asyncio.to_thread(warm_up, self._engine))
            except StreetVisionError as error:
                _log.error("the engine did not answer its warm-up frame", error=str(error))
        if champions is not None:
            self._watcher = Watcher(champions, self._slot, self._settings.reload_seconds, self._metrics)
            await self._watcher.run()

    async def stop(self) -> None:
        """Answers what was admitted, then ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._watcher is not None:
            self._watcher.close()
        await self._batcher.stop(self._settings.drain_seconds)
        self.backend.close()


async def _plain_error(_: Request, error: Exception) -> Response:
    """What the router itself refuses, in the same form as everything else."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    body = {
        "error": "NoSuchPathError" if status == 404 else "MethodError",
        "got": f"HTTP {status}",
        "allowed": "the paths and methods of /openapi.json",
        "do": "POST an image to /v1/predict",
    }
    return json_response(body, status, dict(getattr(error, "headers", None) or {}))
