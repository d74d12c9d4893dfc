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

PREFIX: Final = "sv2"
"""Changes with the form of an entry, so that gateways of two versions share one Redis in peace."""
MAX_ENTRY_BYTES: Final = 2**20
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
        self._odd: type[Exception] = importlib.import_module("redis.exceptions").ResponseError

    async def get(self, key: CacheKey) -> Answer | None:
        """The answer, or None; None, too, when Redis cannot be asked."""
        text = await self._ask("get", _name(key))
        if text is None:
            return None
        try:
            return _read(text, key)
        except Exception as error:  # whatever lies there, the query is answered by the model
            self._metrics.cache_errors.labels("entry").inc()
            _log.warning("cache entry cannot be read", error=f"{type(error).__name__}: {error}"[:200])
            return None

    async def put(self, key: CacheKey, answer: Answer) -> None:
        """Keeps an answer, if Redis can be asked."""
        entry = {**wire.answer_to_dict(answer), "sha256": key.sha256}
        text = json.dumps(entry, separators=(",", ":"), allow_nan=False)
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
        except self._odd as error:  # it answers, but not with what was asked for: an entry of another kind
            self._metrics.cache_errors.labels("entry").inc()
            _log.warning("cache entry cannot be read", error=f"{type(error).__name__}: {error}"[:200])
            return None
        except Exception as error:  # whatever ails it, the query is answered without it
            self._rests_until = time.monotonic() + REST_SECONDS
            self._metrics.cache_errors.labels("unreachable").inc()
            if self._metrics.note_cache(up=False):
                _log.warning("cache unreachable, answers are computed", error=f"{type(error).__name__}: {error}")
            return None
        if self._metrics.note_cache(up=True):
            _log.info("cache answers")
        return answer


def _read(text: bytes, key: CacheKey) -> Answer:
    """The answer of an entry.

    Raises:
        ValueError: it is none, or the answer to another image or of another version or policy; so do other errors.
    """
    if len(text) > MAX_ENTRY_BYTES:
        raise ValueError(f"{len(text)} bytes")
    entry = json.loads(text)
    answer = wire.answer_from_dict(entry)
    found = CacheKey(entry["sha256"], answer.verdict.model_version, answer.verdict.policy)
    if found != key or not answer.complete or not answer.verdict.evidence:
        raise ValueError("the answer to another question")
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
            socket_timeout=WAIT_SECONDS,
            socket_connect_timeout=WAIT_SECONDS,
            retry=retry.Retry(backoff.NoBackoff(), 1),  # a pooled connection may have been closed by the server
        )
    except ValueError as error:
        raise ServingError(
            got=f"a cache URL that redis-py does not take ({error})",
            allowed="redis://host:port/db, rediss://… or unix:///path",
            action="mend SV_SERVING__CACHE_URL",
        ) from error
