"""Who may ask: a key for everything under `/v1/` and for the metrics, and a rate for each key."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from streetvision_core.errors import (
    AccessError,
    KeyFileError,
    NotReadyError,
    RateLimitError,
    ServingError,
    StreetVisionError,
)
from streetvision_core.serving.keys import ApiKey, KeyFile, open_keys
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.origin import CALLER, CHARGE, is_loopback, origin_of
from streetvision_core.serving.protocols._answers import error_response
from streetvision_core.settings import Settings

KEY_HEADER: Final = "x-api-key"
_BEARER: Final = "bearer "
_NO_KEYS: Final = NotReadyError("keys that cannot be checked now", "a server whose keys are whole", "ask its operator")
_log = structlog.get_logger(__name__)


class Buckets:
    """A token bucket for each key.

    Args:
        requests_per_second: how fast a bucket fills, unless its key says otherwise.
        burst: how many requests a full one holds.
        clock: gives seconds.
    """

    def __init__(self, requests_per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = requests_per_second
        self._burst = burst
        self._clock = clock
        self._state: dict[str, tuple[float, float]] = {}

    def take(self, key: ApiKey) -> None:
        """Takes one token.

        Raises:
            RateLimitError: the bucket is empty.
        """
        now, rate = self._clock(), key.requests_per_second or self._rate
        tokens, since = self._state.get(key.id, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - since) * rate)
        if tokens < 1:
            self._state[key.id] = (tokens, now)
            seconds = max(1, math.ceil((1 - tokens) / rate))
            raise RateLimitError(
                got=f"more than {rate:g} requests a second with the key {key.name!r}",
                allowed=f"{rate:g} a second, {self._burst} at once",
                action=f"send the request again after {seconds} s",
                retry_after_seconds=seconds,
            )
        self._state[key.id] = (tokens - 1, now)

    def charge(self, key: ApiKey, images: int) -> None:
        """Takes more than is there, if it must be: what a request holds is known only once it has come."""
        tokens, since = self._state.get(key.id, (float(self._burst), self._clock()))
        self._state[key.id] = (tokens - images, since)


@dataclass(frozen=True, slots=True)
class KeyRule:
    """Who needs a key.

    Attributes:
        file: the keys.
        everyone: callers on this machine too.
    """

    file: KeyFile
    everyone: bool = True


class Access:
    """ASGI middleware in front of all protocols; a refused request's body is never read.

    Args:
        app: what lies behind.
        keys: the keys, and who needs one.
        settings: the rates.
        metrics: counts refusals, and requests by key.
    """

    def __init__(self, app: ASGIApp, keys: KeyRule, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._keys = keys.file
        self._everyone = keys.everyone
        self._buckets = Buckets(settings.serving.key_requests_per_second, settings.serving.key_burst)
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers 401 or 429."""
        if scope["type"] == "http" and self._guards(scope):
            try:
                self._check(scope, Headers(scope=scope))
            except KeyFileError as error:  # names a file of ours, which is nobody else's business
                self._metrics.rejects.labels(type(error).__name__).inc()
                _log.error("keys unreadable; nobody who needs one is answered", error=str(error))
                await error_response(_NO_KEYS)(scope, receive, send)
                return
            except StreetVisionError as error:
                self._metrics.rejects.labels(type(error).__name__).inc()
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _guards(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if path.startswith("/metrics"):  # a Prometheus beside us needs no key; one behind a proxy does
            return not origin_of(scope).here
        return path.startswith("/v1/") and (self._everyone or not origin_of(scope).here)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        shown = headers.get(KEY_HEADER, "")
        bearer = headers.get("authorization", "")
        if not shown and bearer[: len(_BEARER)].lower() == _BEARER:
            shown = bearer[len(_BEARER) :].strip()
        key = self._keys.find(shown)
        if key is None:
            raise AccessError(
                got="an API key that is not valid" if shown else "no API key",
                allowed="a key made by `streetvision keys add NAME`",
                action=f"send it as `Authorization: Bearer KEY` or `{KEY_HEADER}: KEY`",
            )
        self._buckets.take(key)
        scope[CALLER], scope[CHARGE] = key.name, partial(self._buckets.charge, key)
        self._metrics.key_requests.labels(key.name).inc()


def keys_for(settings: Settings, host: str) -> KeyRule | None:
    """Who needs a key at an address; None where nobody does.

    A miner is not refused for want of a key: its validators sign, and without one nobody else is answered.

    Raises:
        ServingError: everyone needs one and there is none.
    """
    wanted = settings.serving.keys
    private = is_loopback(host) and not settings.serving.behind_proxy
    if settings.sn72.hides_http:
        return None
    if wanted == "off":
        if not private:
            _log.warning("anyone who reaches this address is answered", host=host)
        return None
    keys = open_keys(settings)
    everyone = wanted == "required" or not private
    if everyone and settings.sn72.hotkey is None and all(key.revoked for key in keys.list()):
        raise ServingError(
            got=f"no API key for callers of {host}",
            allowed="at least one key, or an address of this machine only",
            action="run: streetvision keys add NAME   (or, in a closed network, set SV_SERVING__KEYS=off)",
            host=host,
        )
    return KeyRule(keys, everyone)
