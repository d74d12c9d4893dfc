"""What every protocol calls: cache, places, deadline, backend, metrics and the query log, in this order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from streetvision_core.errors import DeadlineError, StreetVisionError
from streetvision_core.mining.querylog import NewQuery
from streetvision_core.serving.admission import Places
from streetvision_core.serving.backend import Answer, Backend, Image
from streetvision_core.serving.cache import CacheKey, VerdictCache
from streetvision_core.serving.log import LogWriter
from streetvision_core.serving.metrics import Metrics
from streetvision_core.types import Stage

GROUP_DIGITS: Final = 16
FRAMES_AT_A_TIME: Final = 8
"""Frames of one video that are answered at the same time."""
_ANY: Final = Image(b"", "any", "")
PARTIAL_MARGIN_SECONDS: Final = 0.1
"""Best evidence so far is asked for this long before the deadline, so that it still reaches the caller in time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image.

    Attributes:
        image: the image.
        answer: the answer, or the named error of this image.
        cached: whether the answer was known from before.
    """

    image: Image
    answer: Answer | StreetVisionError
    cached: bool = False


class Gateway:
    """Answers images for protocols.

    Args:
        backend: where answers come from.
        cache: answers from before.
        log: where answers are written.
        places: bounds the images that wait for the backend.
        metrics: counts everything.
    """

    def __init__(self, backend: Backend, cache: VerdictCache, log: LogWriter, places: Places, metrics: Metrics) -> None:
        self._backend = backend
        self._cache = cache
        self._log = log
        self._places = places
        self._metrics = metrics

    def check_ready(self) -> tuple[str, str]:
        """Model version and policy that would answer now.

        Raises:
            NotReadyError: none would.
        """
        return self._backend.identity()

    def stages(self) -> tuple[Stage, ...]:
        """The stages that the model which would answer has; empty if that is not known."""
        return self._backend.stages()

    def instead_of(self, version: str) -> str:
        """The version that ought to serve where this one stands in for it; empty where it does not."""
        return self._backend.instead_of(version)

    def check_open(self) -> None:
        """Whether a query may come in: some model would answer it, or will in a moment.

        Raises:
            NotReadyError: none would.
        """
        self._backend.identity(_ANY)

    async def answer(
        self, images: Sequence[Image], deadline: float, origin: str, *, partial: bool = False, caller: str = ""
    ) -> list[Outcome]:
        """Answers images; cancelling gives up those not yet answered and frees their places.

        Args:
            images: the images of one request.
            deadline: event-loop time after which the caller has no use for an answer.
            origin: the protocol's name, for the query log.
            partial: shortly before the deadline, answer with what the stages so far have seen; such an answer has
                `complete` False. Without any evidence by then, a `DeadlineError`.
            caller: who asks; while others wait, its share of the places is bounded.

        Returns:
            One outcome per image, in order; an image's own error does not touch the others.

        Raises:
            NotReadyError: there is no model.
            OverloadedError: there is no place for all of them, or not all would be answered before the deadline.
        """
        received_at = datetime.now(UTC)
        keys = [CacheKey(image.sha256, *self._backend.identity(image)) for image in images]
        known = [await self._cache.get(key) for key in keys]
        missing = [image for image, answer in zip(images, known, strict=True) if answer is None]
        self._metrics.cache_hits.inc(len(images) - len(missing))
        self._metrics.cache_misses.inc(len(missing))
        # an answer from what is known so far comes in time in any case
        seconds = math.inf if partial else deadline - asyncio.get_running_loop().time()
        with self._places.take(len(missing), caller, seconds):
            fresh = iter(await self._ask_all(missing, deadline, partial))
        outcomes = [
            Outcome(image, answer, cached=True) if answer is not None else next(fresh)
            for image, answer in zip(images, known, strict=True)
        ]
        for outcome in outcomes:
            self._note(outcome, origin, received_at)
        return outcomes

    async def answer_video(self, video: Image, deadline: float, caller: str = "") -> dict[str, Any]:
        """The verdict over time of a video; neither cached nor logged. It takes as many places as frames at a time.

        Raises:
            OverloadedError: there is no place.
            DeadlineError: it takes too long.
            StreetVisionError: what the model side names.
        """
        with self._places.take(min(FRAMES_AT_A_TIME, self._places.limit), caller):
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._backend.answer_video(video, deadline)
            except TimeoutError:
                raise deadline_passed(self._places.retry()) from None

    async def _ask_all(self, images: Sequence[Image], deadline: float, partial: bool) -> list[Outcome]:
        if len(images) == 1:
            return [await self._ask(images[0], deadline, partial)]
        return list(await asyncio.gather(*(self._ask(image, deadline, partial) for image in images)))

    async def _ask(self, image: Image, deadline: float, partial: bool) -> Outcome:
        asked_until = deadline - PARTIAL_MARGIN_SECONDS if partial else deadline
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._backend.answer(image, asked_until, partial)
        except TimeoutError:
            return Outcome(image, deadline_passed(self._places.retry()))
        except StreetVisionError as error:
            self._places.note_done()
            return Outcome(image, error)
        self._places.note_done()
        # without evidence a stage failed, incomplete the time was short: the next time it may be otherwise
        if answer.verdict.evidence and answer.complete:
            key = CacheKey(image.sha256, answer.verdict.model_version, answer.verdict.policy)
            await self._cache.put(key, answer)
        return Outcome(image, answer)

    def _note(self, outcome: Outcome, origin: str, received_at: datetime) -> None:
        answer, image = outcome.answer, outcome.image
        if isinstance(answer, StreetVisionError):
            self._metrics.rejects.labels(type(answer).__name__).inc()
            return
        self._metrics.observe_answer(answer, fresh=not outcome.cached)
        version = answer.verdict.model_version
        self._metrics.note_drift(version, answer.verdict.p_roadwork, self._backend.reference(version))
        group = f"{origin}-{image.sha256[:GROUP_DIGITS]}"
        self._log.offer(NewQuery(image.data, answer.verdict, answer.era, group, origin, received_at))


def deadline_passed(retry_after_seconds: int) -> DeadlineError:
    """The error for an answer that would come too late."""
    return DeadlineError(
        got="no answer before the deadline",
        allowed="a deadline the queue can meet",
        action=f"send the request again after {retry_after_seconds} s, or allow it more time",
        retry_after_seconds=retry_after_seconds,
    )
