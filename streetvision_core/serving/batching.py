"""Images of concurrent requests go through the model together.

A lone image is never kept waiting: the batch only waits while other admitted images are still being decoded, and at
most `wait_seconds`. While the model works, images gather by themselves. A cancelled request takes its image with it:
out of the queue, and out of the stages to come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from streetvision_core.errors import EngineError, NotReadyError, StreetVisionError
from streetvision_core.serving._forever import forever
from streetvision_core.serving.engine import EngineSlot, Watch, predict_each
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.types import Frame, Verdict

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Batched:
    """What became of a frame.

    Attributes:
        verdict: the verdict.
        complete: whether the cascade came to its end.
        queued_seconds: how long the frame waited for its batch.
    """

    verdict: Verdict
    complete: bool
    queued_seconds: float


@dataclass(slots=True, eq=False)
class _Waiting:
    frame: Frame
    answer: asyncio.Future[Verdict]
    since: float
    queued_seconds: float = 0.0
    so_far: Verdict | None = None
    """What the stages so far have seen; written by the engine's thread."""

    def watch(self, verdict: Verdict) -> bool:
        self.so_far = verdict
        return not self.answer.done()


class Batcher:
    """One thread that runs the model, fed by any number of coroutines.

    Args:
        slot: the engine that serves; asked anew for every batch.
        max_images: most images in a batch.
        wait_seconds: longest wait for images on their way.
        metrics: where batch sizes go.
    """

    def __init__(self, slot: EngineSlot, max_images: int, wait_seconds: float, metrics: ModelMetrics) -> None:
        self._slot = slot
        self._max_images = max_images
        self._wait_seconds = wait_seconds
        self._metrics = metrics
        self._queue: deque[_Waiting] = deque()
        self._coming = 0
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._busy_since: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer; call from the running event loop."""
        self._idle.set()
        work = forever("batcher", self._run, self._metrics.failures)
        self._task = asyncio.create_task(work, name="batcher")

    async def stop(self, timeout_seconds: float) -> None:
        """Answers what is queued, at most for `timeout_seconds`, then ends; the rest gets a `NotReadyError`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        _fail(list(self._queue), _stopping())
        self._queue.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def busy_seconds(self) -> float:
        """How long the batch that runs has been running; 0 if none does."""
        return 0.0 if self._busy_since is None else asyncio.get_running_loop().time() - self._busy_since

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Says that an image is on its way, from its admission until `answer` is called or it is given up."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._news.set()

    async def answer(self, frame: Frame) -> Verdict:
        """Queues a frame and waits for its verdict; cancelling takes it out of the queue.

        Raises:
            EngineError: the model failed on this frame.
            NotReadyError: no model yet, or the server is stopping.
        """
        return (await self.answer_until(frame, None)).verdict

    async def answer_until(self, frame: Frame, deadline: float | None) -> Batched:
        """Like `answer`; at the deadline, what the stages so far have seen.

        Args:
            frame: the image.
            deadline: event-loop time; None waits.

        Raises:
            TimeoutError: at the deadline no stage had seen the frame.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(frame, loop.create_future(), loop.time())
        self._queue.append(waiting)
        self._idle.clear()
        self._news.set()
        try:
            async with asyncio.timeout_at(deadline):
                return Batched(await waiting.answer, True, waiting.queued_seconds)
        except TimeoutError:
            if waiting.so_far is None:
                raise
            return Batched(waiting.so_far, False, waiting.queued_seconds)
        finally:
            waiting.answer.cancel()
            with suppress(ValueError):
                self._queue.remove(waiting)

    async def _run(self) -> None:
        while True:
            await self._gather()
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_images))]
            try:
                await self._answer(batch)
            except asyncio.CancelledError:
                _fail(batch, _stopping())
                raise
            except StreetVisionError as error:
                _fail(batch, error)
            except Exception:
                _log.exception("batch failed")
                _fail(batch, EngineError("a failed batch", "one verdict per frame", "look into the server's log"))
            if not self._queue:
                self._idle.set()

    async def _gather(self) -> None:
        """Returns when there is a batch worth running."""
        while not self._queue:
            self._idle.set()
            await self._changed()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait_seconds):
                while self._coming and len(self._queue) < self._max_images:
                    await self._changed()

    async def _changed(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def _answer(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        loop = asyncio.get_running_loop()
        live = self._slot.require()
        started = loop.time()
        for waiting in batch:
            waiting.queued_seconds = started - waiting.since
        self._metrics.batch_images.observe(len(batch))
        frames = [waiting.frame for waiting in batch]
        self._busy_since = started
        try:
            answers = await loop.run_in_executor(self._thread, predict_each, live.engine, frames, _watch(batch))
        finally:
            self._busy_since = None
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():  # its caller has gone
                continue
            if isinstance(answer, Verdict):
                waiting.answer.set_result(answer)
            else:
                waiting.answer.set_exception(answer)


def _watch(batch: list[_Waiting]) -> Watch:
    return lambda i, verdict: batch[i].watch(verdict)


def _fail(batch: list[_Waiting], error: StreetVisionError) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


def _stopping() -> NotReadyError:
    return NotReadyError(
        got="a query while the server stops",
        allowed="queries to a running server",
        action="send the request again",
        retry_after_seconds=1,
    )
