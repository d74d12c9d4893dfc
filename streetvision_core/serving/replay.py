"""Sends images to a running server at a given rate, and says how fast, how surely and how rightly it answered.

At a given rate, latency counts from the moment a request was due, not from the moment it was sent: a server that stalls
would otherwise be measured with the fewer requests it let through ("coordinated omission").
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from streetvision_core.errors import ServingError
from streetvision_core.scoring.metrics import binary_metrics
from streetvision_core.scoring.rules import get_rule
from streetvision_core.serving.protocols.sn72.client import Asker
from streetvision_core.serving.replay_sources import ReplayImage, images_of
from streetvision_core.settings import Settings

__all__ = ["ReplayImage", "ReplayReport", "replay", "run_replay"]

TIMEOUT_SECONDS: Final = 30.0
VALIDATOR_SECONDS: Final = 9.0
"""How long a validator says that it waits."""
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_TYPES: Final = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png", b"RI": "image/webp"}


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What came of a replay.

    Attributes:
        sent: requests.
        answered: requests answered with a verdict.
        errors: the others, by the error's name.
        seconds: from the first to the last.
        requests_per_second: `answered` over `seconds`.
        latency_seconds: `p50`, `p95`, `p99` and `max` of the answered.
        scores: accuracy, MCC and the subnet's reward of the answers whose truth is known; empty if there are none.
        scored: how many those are.
        model_versions: answers by model version; the subnet's protocol does not tell it.
        exits: answers by the stage that decided; as above.
    """

    sent: int
    answered: int
    errors: Mapping[str, int]
    seconds: float
    requests_per_second: float
    latency_seconds: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)
    scored: int = 0
    model_versions: Mapping[str, int] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Reply:
    seconds: float
    truth: int | None
    verdict: Mapping[str, Any] | None
    error: str | None


def replay(
    target_url: str,
    images: Iterable[ReplayImage],
    rate: float | None = None,
    concurrency: int = 8,
    asker: Asker | None = None,
) -> ReplayReport:
    """Sends images one per request.

    Args:
        target_url: the server, e.g. `http://127.0.0.1:8080`.
        images: what to send; all made before the first is sent, so that making them is not measured.
        rate: requests per second; None sends as fast as `concurrency` allows.
        concurrency: most requests at a time.
        asker: signs queries of the subnet's protocol; None speaks plain HTTP.

    Raises:
        ServingError: the server cannot be reached at all, or a value is out of its range.
    """
    if concurrency < 1 or (rate is not None and not rate > 0):
        raise ServingError(f"rate {rate}, concurrency {concurrency}", "a rate above 0, at least 1 at a time", "mend it")
    return asyncio.run(_replay(target_url.rstrip("/"), list(images), rate, concurrency, asker))


def run_replay(
    settings: Settings,
    target_url: str,
    source: str | Path = "rendered",
    rate: float | None = None,
    concurrency: int = 8,
    limit: int | None = None,
    asker: Asker | None = None,
) -> ReplayReport:
    """Replays a folder, the rendered stream or a logged day.

    Args:
        settings: where the workspace lies.
        target_url: the server.
        source: `rendered`, a day `YYYY-MM-DD` of the query log, or a folder of images.
        rate: requests per second; None sends as fast as `concurrency` allows.
        concurrency: most requests at a time.
        limit: most images to send.
        asker: signs queries of the subnet's protocol; None speaks plain HTTP.

    Raises:
        NoImagesError: the folder holds none.
        ServingError: the log has no such day, or the server cannot be reached.
    """
    return replay(target_url, images_of(settings, source, limit), rate, concurrency, asker)


async def _replay(
    url: str, images: list[ReplayImage], rate: float | None, concurrency: int, asker: Asker | None
) -> ReplayReport:
    loop = asyncio.get_running_loop()
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    replies: list[_Reply] = []
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        await _check_reachable(client, url)
        started = loop.time()
        numbered = enumerate(images)

        async def work() -> None:
            for number, image in numbered:
                due = loop.time() if rate is None else started + number / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                replies.append(await _send(client, image, due, asker))

        await asyncio.gather(*(work() for _ in range(concurrency)))
        return _report(replies, loop.time() - started)


async def _check_reachable(client: httpx.AsyncClient, url: str) -> None:
    try:
        await client.get("/health/live")
    except httpx.HTTPError as error:
        raise ServingError(
            got=f"{type(error).__name__} from {url}",
            allowed="the URL of a running server",
            action="start one with: streetvision serve",
            url=url,
        ) from error


async def _send(client: httpx.AsyncClient, image: ReplayImage, due: float, asker: Asker | None) -> _Reply:
    loop = asyncio.get_running_loop()
    try:
        response = await (_post(client, image) if asker is None else _ask(client, image, asker))
        body = response.json()
    except (httpx.HTTPError, ValueError) as error:
        return _Reply(loop.time() - due, image.truth, None, type(error).__name__)
    if response.status_code == 200:
        verdict = body if asker is None else {"p_roadwork": body["prediction"]}
        return _Reply(loop.time() - due, image.truth, verdict, None)
    why = body.get("error") or f"{response.status_code} {body.get('message', '')}".strip()
    return _Reply(loop.time() - due, image.truth, None, str(why))


async def _post(client: httpx.AsyncClient, image: ReplayImage) -> httpx.Response:
    headers = {"content-type": _TYPES.get(image.data[:2], "application/octet-stream")}
    return await client.post("/v1/predict", content=image.data, headers=headers)


async def _ask(client: httpx.AsyncClient, image: ReplayImage, asker: Asker) -> httpx.Response:
    query = asker.query(image.data, VALIDATOR_SECONDS)
    return await client.post(query.path, content=query.body, headers=query.headers)


def _report(replies: list[_Reply], seconds: float) -> ReplayReport:
    answered = [r for r in replies if r.verdict is not None]
    verdicts = [r.verdict for r in answered if r.verdict is not None]
    scores, scored = _score(answered)
    return ReplayReport(
        sent=len(replies),
        answered=len(answered),
        errors=dict(Counter(r.error for r in replies if r.error is not None)),
        seconds=round(seconds, 3),
        requests_per_second=round(len(answered) / seconds, 2) if seconds > 0 else 0.0,
        latency_seconds=_latency([r.seconds for r in answered]),
        scores=scores,
        scored=scored,
        model_versions=dict(Counter(v["model_version"] for v in verdicts if "model_version" in v)),
        exits=dict(Counter(v["exit_stage"] for v in verdicts if "exit_stage" in v)),
    )


def _latency(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    values = {name: float(np.quantile(seconds, q)) for name, q in QUANTILES.items()}
    return {name: round(value, 5) for name, value in {**values, "max": max(seconds)}.items()}


def _score(answered: list[_Reply]) -> tuple[dict[str, float], int]:
    known = [(r.verdict["p_roadwork"], r.truth) for r in answered if r.verdict is not None and r.truth is not None]
    if not known:
        return {}, 0
    p, y = (np.array(column, dtype=float) for column in zip(*known, strict=True))
    metrics = binary_metrics(p, y.astype(np.int64))
    reward = get_rule("sn72").score(p, y.astype(np.int64))
    values = {"accuracy": metrics.accuracy, "mcc": metrics.mcc, "brier": metrics.brier, "sn72": reward}
    return {name: round(float(value), 4) for name, value in values.items()}, len(known)
