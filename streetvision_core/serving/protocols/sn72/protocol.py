"""`POST /ImageSynapse`: one query, from its declared size to its answer."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from streetvision_core import errors
from streetvision_core.errors import ChainError, QueryRefusedError, StreetVisionError
from streetvision_core.serving.admission import ByteBudget
from streetvision_core.serving.gateway import Gateway, Outcome
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.protocols._body import HEAVY_BYTES, read_capped
from streetvision_core.serving.protocols._connection import GONE, while_connected
from streetvision_core.serving.protocols.sn72.access import SNAPSHOT_FILE, Access, SnapshotFile
from streetvision_core.serving.protocols.sn72.body import Query, parse_body
from streetvision_core.serving.protocols.sn72.headers import Signed, answer_headers, parse_headers
from streetvision_core.serving.protocols.sn72.keys import decode_address, verify
from streetvision_core.serving.protocols.sn72.metrics import Sn72Metrics
from streetvision_core.serving.protocols.sn72.nonces import Nonces
from streetvision_core.serving.protocols.sn72.refusals import MESSAGES, STATUS, refused
from streetvision_core.settings import Settings

PROTOCOL: Final = "sn72"
NAMES: Final = ("ImageSynapse", "ExtendedImageSynapse")
"""The path is the name of the validator's synapse class; one branch of the subnet's code sends the second."""
NONCES_FILE: Final = "nonces.sqlite"
EDGE: Final = 1e-6
"""Answers keep this distance from 0 and 1: a certainty is never claimed."""
_CLOSING: Final = (408, 413)
_RETRYING: Final = (429, 503)

_REASONS: Final[dict[type[StreetVisionError], str]] = {
    errors.RequestTimeoutError: "slow-body",
    errors.ImageTooLargeError: "size",
    errors.ImageError: "image",
    errors.DeadlineError: "deadline",
    errors.NotReadyError: "not-ready",
    errors.OverloadedError: "overload",
}
"""Errors of the server that may end a query; any other is the model's fault."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Course:
    """How far a query has come; headers are echoed only to who signed them."""

    started: float
    signed: Signed | None = None
    verified: bool = False


class Sn72Protocol:
    """The endpoint and what it needs.

    Args:
        gateway: answers images.
        settings: limits, and the hotkey queries must be signed for.
        metrics: counts requests.

    Raises:
        ChainError: the hotkey is no ss58 address.
    """

    def __init__(self, gateway: Gateway, settings: Settings, metrics: Metrics) -> None:
        own = settings.sn72
        decode_address(own.hotkey or "")
        for allowed in own.allow_hotkeys:
            decode_address(allowed)
        folder = settings.paths.resolve("data") / own.folder
        self._hotkey = own.hotkey
        self._gateway = gateway
        self._settings = settings
        self._limits = own
        self._metrics = metrics
        self._serving = settings.serving
        self._budget = ByteBudget(settings.serving.max_bytes_in_flight, settings.sn72.max_body_bytes)
        self._access = Access(own, SnapshotFile(folder / SNAPSHOT_FILE))
        self._nonces = Nonces(folder / NONCES_FILE, own.nonce_past_seconds, own.nonce_future_seconds, own.max_nonces)
        self._own = Sn72Metrics(metrics.registry, self._access.snapshot)

    def routes(self) -> list[Route]:
        """POST only; the name of the synapse class is the path."""
        return [Route(f"/{name}", self.query, methods=["POST"]) for name in NAMES]

    async def start(self) -> None:
        """Nothing to begin: a hotkey or a folder that cannot be used is found before the server listens."""

    async def stop(self) -> None:
        """Ends with it."""
        self._nonces.close()

    async def query(self, request: Request) -> Response:
        """Answers one query."""
        course = _Course(asyncio.get_running_loop().time())
        response = await self._answer(request, course)
        self._metrics.requests.labels(PROTOCOL, str(response.status_code)).inc()
        self._metrics.request_seconds.labels(PROTOCOL).observe(_since(course))
        return response

    async def _answer(self, request: Request, course: _Course) -> Response:
        try:
            return await self._query(request, course)
        except ClientDisconnect:
            return self._gone()
        except QueryRefusedError as error:
            return self._refuse(error.data["reason"], error, course)
        except StreetVisionError as error:
            reason = next((_REASONS[kind] for kind in type(error).__mro__ if kind in _REASONS), "model")
            return self._refuse(reason, error, course)
        except Exception as error:
            _log.exception("query failed")
            return self._refuse("model", error, course)

    async def _query(self, request: Request, course: _Course) -> Response:
        loop = asyncio.get_running_loop()
        _check_declared(request, self._limits.max_body_bytes)
        signed = course.signed = parse_headers(request.scope["headers"], self._limits)
        self._verify(signed)
        course.verified = True
        self._access.check(signed.sender)
        # a replay costs its sender no rate, and what the rate refuses may be sent again
        self._nonces.check_unused(signed.receiver, signed.sender, signed.nonce)
        self._access.spend(signed.sender)
        self._nonces.take(signed.receiver, signed.sender, signed.nonce)
        wait = min(signed.timeout_seconds, self._limits.deadline_seconds) - self._limits.margin_seconds
        deadline = course.started + max(wait, 0.0)
        self._gateway.check_open()
        with self._budget.reserve(signed.sender) as held:
            body = await self._read(request, held, deadline - loop.time())
            heavy = len(body) >= HEAVY_BYTES
            parse = (body, signed.body_hash, self._limits)
            query = await asyncio.to_thread(parse_body, *parse) if heavy else parse_body(*parse)
            self._own.observe_query(signed.sender)
            work = self._gateway.answer([query.image], deadline, PROTOCOL, partial=True, caller=signed.sender)
            outcomes = await while_connected(request, work)
        if outcomes is None:
            return self._gone()
        return _success(signed, query, _probability(outcomes[0]), course)

    def _verify(self, signed: Signed) -> None:
        """The signature is for us, in time, and the sender's.

        Raises:
            QueryRefusedError: one of these is not so.
        """
        if signed.receiver != self._hotkey:
            raise refused("receiver", f"a query for {signed.receiver}", f"queries for {self._hotkey}")
        self._nonces.check(signed.nonce)
        try:
            key = decode_address(signed.sender)
        except ChainError as error:
            raise refused("signature", error.got, error.allowed) from error
        if not verify(signed.signature, signed.text(), key):
            raise refused("signature", f"a signature that is not {signed.sender}'s", "signed queries")

    async def _read(self, request: Request, held: Any, seconds: float) -> bytes:
        return await read_capped(request, self._limits.max_body_bytes, self._serving, held, max(seconds, 0.001))

    def _refuse(self, reason: str, error: Exception, course: _Course) -> Response:
        self._own.rejects.labels(reason).inc()
        sender = course.signed.sender if course.signed else None
        _log.info("query refused", reason=reason, sender=sender, verified=course.verified, error=str(error)[:300])
        status = STATUS[reason]
        message = MESSAGES[status]
        signed = course.signed if course.verified else None
        response = _json({"message": message}, status, signed, message, _since(course))
        if status in _CLOSING:
            response.headers["connection"] = "close"
        if status in _RETRYING:
            seconds = getattr(error, "data", {}).get("retry_after_seconds", 1)
            response.headers["retry-after"] = str(math.ceil(seconds))
        return response

    def _gone(self) -> Response:
        self._own.rejects.labels("client-gone").inc()
        return GONE


def _check_declared(request: Request, most: int) -> None:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise refused("size", f"a body of {declared} bytes", f"at most {most} bytes")


def _probability(outcome: Outcome) -> float:
    """What leaves the server: in (0, 1), never 0.5, and never a guess without evidence."""
    answer = outcome.answer
    if isinstance(answer, StreetVisionError):
        raise answer
    if not answer.verdict.evidence:
        raise refused("model", "an answer without evidence", "the evidence of at least one stage")
    return min(max(answer.verdict.p_roadwork, EDGE), 1 - EDGE)


def _success(signed: Signed, query: Query, p: float, course: _Course) -> Response:
    # the rest of the synapse comes from the headers; the image does not travel back
    content = {"timeout": signed.timeout_seconds, "testnet_label": query.testnet_label, "prediction": p}
    return _json(content, 200, signed, "Success", _since(course))


def _json(content: dict[str, Any], status: int, signed: Signed | None, message: str, seconds: float) -> Response:
    body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    response = Response(body, status, media_type="application/json")
    if signed is not None:
        response.raw_headers.extend(answer_headers(signed, status, message, seconds))
    return response


def _since(course: _Course) -> float:
    return asyncio.get_running_loop().time() - course.started
