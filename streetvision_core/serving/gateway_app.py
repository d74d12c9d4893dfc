"""The gateway as an ASGI application: protocols, admission, cache, log. It knows no model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from streetvision_core.errors import EngineError, StreetVisionError
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving import _request_id
from streetvision_core.serving._loop_drift import DRIFT_FILE, show_drift
from streetvision_core.serving.access import Access, KeyRule
from streetvision_core.serving.admission import Places
from streetvision_core.serving.backend import Backend
from streetvision_core.serving.cache import VerdictCache, open_cache
from streetvision_core.serving.fleet import Fleet
from streetvision_core.serving.gateway import Gateway
from streetvision_core.serving.log import LogWriter, Opener
from streetvision_core.serving.log_room import LogRoom
from streetvision_core.serving.metrics import CONTENT_TYPE, Metrics
from streetvision_core.serving.page import page_response
from streetvision_core.serving.protocols._answers import error_response, json_response, tagged
from streetvision_core.serving.protocols.http import HttpProtocol
from streetvision_core.serving.protocols.openapi import describe
from streetvision_core.serving.protocols.sn72.protocol import Sn72Protocol
from streetvision_core.serving.protocols.sn72.public import OPEN, OnlyValidators
from streetvision_core.serving.wall import Wall
from streetvision_core.settings import Settings

_log = structlog.get_logger(__name__)


class Side(Protocol):
    """Something that lives as long as the application does."""

    async def start(self) -> None:
        """Begins; must not wait for what takes long."""
        ...

    async def stop(self) -> None:
        """Ends."""
        ...


@dataclass(frozen=True, slots=True)
class Mounted:
    """A protocol's part of the application.

    Attributes:
        routes: its paths.
        sides: what it needs running.
    """

    routes: Sequence[BaseRoute]
    sides: Sequence[Side] = ()


Mount = Callable[[Gateway, Settings, Metrics], Mounted]
"""Makes a protocol that answers through the gateway."""


def mount_http(gateway: Gateway, settings: Settings, metrics: Metrics) -> Mounted:
    """Plain HTTP with its description and its page."""
    http = HttpProtocol(gateway, settings, metrics)
    document = describe()

    async def openapi(_: Request) -> Response:
        return json_response(document)

    async def page(_: Request) -> Response:
        return page_response()

    return Mounted(
        [
            Route("/v1/predict", http.predict, methods=["POST"]),
            Route("/v1/predict/video", http.predict_video, methods=["POST"]),
            Route("/openapi.json", openapi),
            Route("/", page),
        ]
    )


def mount_sn72(gateway: Gateway, settings: Settings, metrics: Metrics) -> Mounted:
    """The subnet's protocol, where there is a hotkey to be asked."""
    if settings.sn72.hotkey is None:
        return Mounted(())
    sn72 = Sn72Protocol(gateway, settings, metrics)
    return Mounted(sn72.routes(), (sn72,))


def mount_model_metrics(fleet: Fleet) -> Mount:
    """The model servers' own metrics, which may lie behind a socket file, in the order in which they are named."""

    async def show(request: Request) -> Response:
        text = request.path_params["number"]
        known = {str(number): server for number, server in enumerate(fleet.servers)}
        if text not in known:
            raise HTTPException(404)
        try:
            text = await known[text].metrics()
        except StreetVisionError as error:
            return error_response(error)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    return lambda gateway, settings, metrics: Mounted([Route("/metrics/models/{number}", show)])


MOUNTS: Final[tuple[Mount, ...]] = (mount_http, mount_sn72)


def create_gateway_app(
    backend: Backend,
    settings: Settings,
    metrics: Metrics,
    log: QueryLog | Opener | None = None,
    cache: VerdictCache | None = None,
    sides: Sequence[Side] = (),
    mounts: Sequence[Mount] = MOUNTS,
    keys: KeyRule | None = None,
) -> Starlette:
    """A gateway.

    Args:
        backend: where answers come from.
        settings: limits.
        metrics: counts everything.
        log: where answers are written, or how that is opened; closed when the application stops. None keeps no log.
        cache: answers from before; the one that the settings name if None.
        sides: started in this order with the application, stopped in the other.
        mounts: the protocols.
        keys: who needs one; None asks for none.

    Returns:
        An ASGI application; its state holds `metrics` and `gateway`.
    """
    serving = settings.serving
    show_drift(metrics.registry, settings.paths.resolve("data") / DRIFT_FILE)
    places = Places(serving.queue_images)
    metrics.queue_depth.set_function(lambda: places.used)
    writer = LogWriter(log, serving, metrics, LogRoom(settings.retention, metrics))
    cache = cache or open_cache(serving, metrics)
    gateway = Gateway(backend, cache, writer, places, metrics)
    mounted = [mount(gateway, settings, metrics) for mount in mounts]
    running = [cache, *sides, *(side for part in mounted for side in part.sides)]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        writer.start()
        for side in running:
            await side.start()
        yield
        for side in reversed(running):
            await side.stop()
        if not await asyncio.to_thread(writer.stop, serving.drain_seconds):
            _log.error("query log not drained in time; the rest is lost and counted")

    routes = [*_health(gateway, metrics), *(route for part in mounted for route in part.routes)]
    signed = OPEN if settings.sn72.hotkey is not None else ()
    guard = [Middleware(Wall, settings=serving, metrics=metrics, signed_paths=signed)]
    if settings.sn72.hides_http:
        guard.append(Middleware(OnlyValidators))
    if keys is not None:
        guard.append(Middleware(Access, keys=keys, settings=settings, metrics=metrics))
    handlers = {HTTPException: _plain_error, Exception: _unexpected}
    app = Starlette(routes=routes, middleware=guard, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False  # a redirect would repeat whatever name was asked for
    app.state.metrics, app.state.gateway, app.state.serving = metrics, gateway, serving
    return app


def _health(gateway: Gateway, metrics: Metrics) -> list[Route]:
    async def ready(_: Request) -> Response:
        try:
            version, policy = gateway.check_ready()
        except StreetVisionError as error:
            return error_response(error)
        answer = {"status": "ready", "model_version": version, "policy": policy, "stages": gateway.stages()}
        if instead_of := gateway.instead_of(version):
            answer["instead_of"] = instead_of
        return json_response(answer)

    async def live(_: Request) -> Response:
        return json_response({"status": "live"})

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE})

    return [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", show_metrics)]


async def _plain_error(_: Request, error: Exception) -> Response:
    """What the router itself refuses, in the same form as everything else."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    body: dict[str, Any] = {
        "error": "NoSuchPathError" if status == 404 else "MethodError",
        "got": f"HTTP {status}",
        "allowed": "the paths and methods of /openapi.json",
        "do": "POST an image to /v1/predict",
    }
    return json_response(tagged(body), status, dict(getattr(error, "headers", None) or {}))


async def _unexpected(_: Request, error: Exception) -> Response:
    """Our own fault, in the same form as everything else; the log has the rest."""
    _log.error("request failed", exc_info=error, request_id=_request_id.current())
    return error_response(EngineError("an error of the server", "an answer", "look into the server's log"))
