"""Plain HTTP: `POST /v1/predict`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from streetvision_core.errors import EngineError, ImageFormatError, RequestError, StreetVisionError
from streetvision_core.images.sniff import sniff
from streetvision_core.serving import _request_id
from streetvision_core.serving.admission import ByteBudget, overloaded
from streetvision_core.serving.gateway import Gateway, Outcome
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.origin import caller_of, charge_images
from streetvision_core.serving.protocols._answers import error_response, json_response, outcome_response
from streetvision_core.serving.protocols._body import read_images, read_video, video_at_image
from streetvision_core.serving.protocols._connection import GONE, while_connected
from streetvision_core.settings import Settings
from streetvision_core.types import is_unsure

Work = Callable[[Request, float], Awaitable[Response]]
PROTOCOL: Final = "http"
VIDEO_RETRY_SECONDS: Final = 5
DEADLINE_HEADER: Final = "x-deadline-seconds"
_SWITCHES: Final = {"": False, "false": False, "0": False, "true": True, "1": True}
_log = structlog.get_logger(__name__)


class HttpProtocol:
    """The endpoint and what it needs.

    Args:
        gateway: answers images.
        settings: limits.
        metrics: counts requests and refusals.
    """

    def __init__(self, gateway: Gateway, settings: Settings, metrics: Metrics) -> None:
        self._gateway = gateway
        self._settings = settings
        self._metrics = metrics
        self._bytes = ByteBudget(settings.serving.max_bytes_in_flight, settings.serving.max_body_bytes)
        self._watching: set[str] = set()
        """Callers whose video is being answered; each may have one."""
        metrics.bytes_in_flight.set_function(lambda: self._bytes.used)

    async def predict(self, request: Request) -> Response:
        """Answers one request; every error becomes JSON with its status."""
        return await self._measured(request, self._predict)

    async def predict_video(self, request: Request) -> Response:
        """Answers one video."""
        return await self._measured(request, self._predict_video)

    async def _measured(self, request: Request, work: Work) -> Response:
        loop = asyncio.get_running_loop()
        started = loop.time()
        response = await self._answer(request, started, work)
        self._metrics.requests.labels(PROTOCOL, str(response.status_code)).inc()
        self._metrics.request_seconds.labels(PROTOCOL).observe(loop.time() - started)
        return response

    async def _answer(self, request: Request, started: float, work: Work) -> Response:
        try:
            return await work(request, started)
        except ClientDisconnect:
            return self._gone()
        except StreetVisionError as error:
            self._metrics.rejects.labels(type(error).__name__).inc()
            return error_response(error)
        except Exception:
            _log.exception("request failed", request_id=_request_id.current())
            self._metrics.rejects.labels("unexpected").inc()
            return error_response(EngineError("an error of the server", "an answer", "look into the server's log"))

    async def _predict(self, request: Request, started: float) -> Response:
        self._gateway.check_open()
        evidence = _read_switch(request, "evidence")
        deadline = started + _read_deadline(request, self._settings.serving.deadline_seconds)
        caller = caller_of(request.scope)
        with self._bytes.reserve(caller) as held:
            images = await read_images(request, self._settings, held)
            charge_images(request.scope, len(images.items))
            work = self._gateway.answer(images.items, deadline, PROTOCOL, caller=caller)
            outcomes = await while_connected(request, work)
        if outcomes is None:
            return self._gone()
        return outcome_response([_name_endpoint(outcome) for outcome in outcomes], images.many, evidence)

    async def _predict_video(self, request: Request, started: float) -> Response:
        self._gateway.check_open()
        deadline = started + _read_deadline(request, self._settings.serving.video_seconds)
        caller = caller_of(request.scope)
        if caller in self._watching:
            raise overloaded("a second video of one caller", "one at a time", VIDEO_RETRY_SECONDS)
        self._watching.add(caller)
        try:
            with self._bytes.reserve(caller) as held:
                video = await read_video(request, self._settings, held)
                answer = await while_connected(request, self._gateway.answer_video(video, deadline, caller))
        finally:
            self._watching.discard(caller)
        if answer is None:
            return self._gone()
        return json_response({**answer, "unsure": is_unsure(answer["p_roadwork"])})

    def _gone(self) -> Response:
        self._metrics.rejects.labels("client-gone").inc()
        return GONE


def _name_endpoint(outcome: Outcome) -> Outcome:
    """A video among pictures is told where videos go."""
    if isinstance(outcome.answer, ImageFormatError) and sniff(outcome.image.data).media == "video":
        return replace(outcome, answer=video_at_image(f"a video as {outcome.image.name}"))
    return outcome


def _read_switch(request: Request, name: str) -> bool:
    value = request.query_params.get(name, "").lower()
    if value not in _SWITCHES:
        raise RequestError(f"{name}={value[:40]!r}", "true or false", f"leave {name} out, or say true")
    return _SWITCHES[value]


def _read_deadline(request: Request, most: float) -> float:
    """Seconds the caller allows, from the header `x-deadline-seconds`; never more than the server's own limit."""
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return most
    with suppress(ValueError):
        seconds = float(text)
        if math.isfinite(seconds) and seconds > 0:
            return min(seconds, most)
    raise RequestError(f"{DEADLINE_HEADER}: {text[:40]!r}", "seconds above 0, e.g. 2.5", "mend or leave out the header")
