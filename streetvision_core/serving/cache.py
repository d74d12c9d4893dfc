"""Verdicts of images seen before, by the bytes' sha256, the model version and the exit policy."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from cachetools import TTLCache

from streetvision_core.serving.backend import Answer
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import ServingSettings


class CacheKey(NamedTuple):
    """What an answer depends on."""

    sha256: str
    version: str
    policy: str


class VerdictCache(Protocol):
    """A cache that may lie in another process; its own failures must look like misses."""

    async def get(self, key: CacheKey) -> Answer | None:
        """The answer, or None."""
        ...

    async def put(self, key: CacheKey, answer: Answer) -> None:
        """Keeps an answer."""
        ...

    async def start(self) -> None:
        """Begins, with the server."""
        ...

    async def stop(self) -> None:
        """Ends, with the server."""
        ...


def open_cache(settings: ServingSettings, metrics: Metrics) -> VerdictCache:
    """The cache that the settings name.

    Raises:
        MissingExtraError: it needs redis-py.
        ServingError: its URL cannot be used.
    """
    if settings.cache_url is None:
        return MemoryCache(settings.cache_entries, settings.cache_seconds)
    from streetvision_core.serving.cache_redis import RedisCache  # needs the extra `ops`

    return RedisCache(settings.cache_url.get_secret_value(), settings.cache_seconds, metrics)


class MemoryCache:
    """In this process: the least recently used entry goes first, and every entry after `seconds`.

    Args:
        entries: most answers kept; 0 keeps none.
        seconds: how long one is kept.
    """

    def __init__(self, entries: int, seconds: float) -> None:
        self._answers: TTLCache[CacheKey, Answer] = TTLCache(entries, seconds)

    async def get(self, key: CacheKey) -> Answer | None:
        """The answer, or None."""
        return self._answers.get(key)

    async def put(self, key: CacheKey, answer: Answer) -> None:
        """Keeps an answer."""
        if self._answers.maxsize >= 1:
            self._answers[key] = answer

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""
