"""Verdicts in Redis, for several gateways. Redis going away degrades to no cache, and it is taken up again."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from typing import Any, Final

import structlog

from streetvision_core.errors import MissingExtraError, ServingError
from streetvision_core.serving import wire
from streetvision_core.serving.backend import Answer
from streetvision_core.serving.cache import CacheKey
from streetvision_core.serving.metrics import Metrics

PREFIX: Final = "sv1"
"""Changes with the form of an entry, so that gateways of two versions share one Redis in peace."""
WAIT_SECONDS: Final = 0.25
"""Longer than a round trip ever takes, shorter than the model."""
REST_SECONDS: Final = 1.0
"""After a failure no request asks Redis for so long, so that a dead one costs nothing."""
_log = structlog.get_logger(__name__)


class RedisCache:
    """A `VerdictCache` in Redis.

    Args:
        url: `redis://[user:password@]host:port/db`, `rediss://…` or `unix:///path`.
        seconds: how long an answer is kept.
        metrics: counts failures.

    Raises:
        MissingExtraError: redis-py is not installed.
        ServingError: not such a URL.
    """

    def __init__(self, url: str, seconds: float, metrics: Metrics) -> None:
        self._seconds = seconds
        self._metrics = metrics
        self._rests_until = 0.0
        self._redis = _connect(url)

    async def get(self, key: CacheKey) -> Answer | None:
        """The answer, or None; None, too, when Redis cannot be asked."""
        text = await self._ask("get", _name(key))
        if text is None:
            return None
        try:
            return wire.answer_from_dict(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            self._metrics.cache_errors.labels("entry").inc()
            _log.warning("cache entry cannot be read", error=f"{type(error).__name__}: {error}")
            return None

    async def put(self, key: CacheKey, answer: Answer) -> None:
        """Keeps an answer, if Redis can be asked."""
        text = json.dumps(wire.answer_to_dict(answer), separators=(",", ":"), allow_nan=False)
        await self._ask("set", _name(key), text, px=round(1000 * self._seconds))

    async def start(self) -> None:
        """Connects with the first request."""

    async def stop(self) -> None:
        """Ends the connections."""
        await self._redis.aclose()

    async def _ask(self, command: str, *arguments: Any, **options: Any) -> Any:
        if time.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                answer = await getattr(self._redis, command)(*arguments, **options)
        except Exception as error:  # whatever ails it, the query is answered without it
            self._rests_until = time.monotonic() + REST_SECONDS
            self._metrics.cache_errors.labels("unreachable").inc()
            if self._metrics.note_cache(up=False):
                _log.warning("cache unreachable, answers are computed", error=f"{type(error).__name__}: {error}")
            return None
        if self._metrics.note_cache(up=True):
            _log.info("cache answers")
        return answer


def _name(key: CacheKey) -> str:
    return f"{PREFIX}:{key.version}:{key.policy}:{key.sha256}"


def _connect(url: str) -> Any:
    try:
        client = importlib.import_module("redis.asyncio")
        retry, backoff = importlib.import_module("redis.asyncio.retry"), importlib.import_module("redis.backoff")
    except ImportError as error:
        raise MissingExtraError("redis", "ops") from error
    try:
        return client.from_url(
            url,
            decode_responses=True,
            socket_timeout=WAIT_SECONDS,
            socket_connect_timeout=WAIT_SECONDS,
            retry=retry.Retry(backoff.NoBackoff(), 0),
        )
    except ValueError as error:
        raise ServingError(
            got=f"a cache URL that redis-py does not take ({error})",
            allowed="redis://host:port/db, rediss://… or unix:///path",
            action="mend SV_SERVING__CACHE_URL",
        ) from error
