"""The model server: encoded images in, answers out, for gateways only. It knows no protocol, no key and no log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from streetvision_core.errors import EngineError, ImageTooLargeError, StreetVisionError
from streetvision_core.serving import wire
from streetvision_core.serving.admission import Places
from streetvision_core.serving.engine import Engine
from streetvision_core.serving.gateway import deadline_passed
from streetvision_core.serving.metrics import CONTENT_TYPE
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.model_side import ModelSide
from streetvision_core.serving.protocols._answers import json_response, status_of
from streetvision_core.serving.protocols._connection import GONE, while_connected
from streetvision_core.serving.reload import Champions
from streetvision_core.settings import Settings

_log = structlog.get_logger(__name__)


def create_model_app(engine: Engine | None, settings: Settings, champions: Champions | None = None) -> Starlette:
    """A model server.

    Args:
        engine: answers from the start; None waits for `champions` to name one.
        settings: limits.
        champions: asked every few seconds which version ought to serve; None keeps `engine`.

    Returns:
        An ASGI application; its state holds `metrics`.
    """
    metrics = ModelMetrics(max_age_days=settings.gate.max_age_days)
    side = ModelSide(engine, settings, metrics, champions)
    handler = _Handler(side, settings, metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await side.start()
        yield
        await side.stop()

    routes = [
        Route(wire.ANSWER_PATH, handler.answer, methods=["POST"]),
        Route(wire.VIDEO_PATH, handler.answer_video, methods=["POST"]),
        Route(wire.STATUS_PATH, handler.status),
        Route("/metrics", handler.metrics),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.metrics, app.state.serving = metrics, settings.serving
    return app


class _Handler:
    """The endpoints."""

    def __init__(self, side: ModelSide, settings: Settings, metrics: ModelMetrics) -> None:
        self._side = side
        self._max_bytes = settings.decode.max_bytes
        self._max_video_bytes = settings.serving.max_body_bytes
        self._places = Places(settings.serving.queue_images)
        self._metrics = metrics
        metrics.model_queue_depth.set_function(lambda: self._places.used)

    async def answer(self, request: Request) -> Response:
        """Answers one image; an image whose caller hangs up is given up."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            with self._places.take(1):
                _check_size(request, self._max_bytes)
                image, seconds, partial = wire.image_of(await request.body(), request.headers)
                deadline = None if seconds is None else started + seconds
                work = self._side.backend.answer(image, deadline, partial)
                answer = await while_connected(request, work)
        except Exception as error:
            return self._refuse(error)
        if answer is None:
            return GONE
        self._places.note_done()
        return json_response(wire.answer_to_dict(answer))

    async def answer_video(self, request: Request) -> Response:
        """Answers one video; one whose caller hangs up is given up."""
        try:
            with self._places.take(1):
                _check_size(request, self._max_video_bytes)
                video, _, _ = wire.image_of(await request.body(), request.headers)
                answer = await while_connected(request, self._side.backend.answer_video(video))
        except Exception as error:
            return self._refuse(error)
        return GONE if answer is None else json_response(answer)

    def _refuse(self, error: Exception) -> Response:
        try:
            raise error
        except ClientDisconnect:
            return GONE
        except TimeoutError:
            return _error(deadline_passed(self._places.retry()))
        except StreetVisionError as error:
            return _error(error)
        except Exception:
            _log.exception("request failed")
            return _error(EngineError("an error of the model server", "an answer", "look into its log"))

    async def status(self, _: Request) -> Response:
        """What serves, or why nothing does."""
        try:
            live = self._side.live()
        except StreetVisionError as error:
            return json_response(wire.error_to_dict(error), 503)
        facts = live.facts
        status = wire.Status(
            live.version,
            live.policy,
            live.since,
            facts.created,
            self._places.used,
            facts.reference,
            live.stages,
            facts.instead_of,
        )
        return json_response(status.to_dict())

    async def metrics(self, _: Request) -> Response:
        """The model server's own metrics."""
        return Response(self._metrics.render(), headers={"content-type": CONTENT_TYPE})


def _error(error: StreetVisionError) -> Response:
    return json_response(wire.error_to_dict(error), status_of(error))


def _check_size(request: Request, most: int) -> None:
    declared = request.headers.get("content-length", "")
    if not declared.isdigit() or int(declared) > most:
        raise ImageTooLargeError(
            got=f"a body of {declared or 'unknown'} bytes",
            allowed=f"at most {most} bytes, declared",
            action="let the gateway and the model server have the same settings",
        )
