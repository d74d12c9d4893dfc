"""The backend in this process: decodes in threads, predicts in batches, holds a bounded number of pixels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

from streetvision_core.errors import DecodeTimeoutError
from streetvision_core.images.decode import decode_image
from streetvision_core.serving._plain import is_plain
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.serving.batching import Batcher
from streetvision_core.serving.clips import answer_clip
from streetvision_core.serving.decoding import DecodePool
from streetvision_core.serving.engine import EngineSlot
from streetvision_core.settings import Decode, Settings
from streetvision_core.types import Era, Frame, Pixels, Stage

DECODE_THREADS: Final = 2
"""One more waits for the process that decodes what may be costly."""
TOO_COSTLY_KEPT: Final = 1024
HEAVY_BYTES: Final = 1024 * 1024
"""Larger pictures are judged in a thread."""
_CHALLENGE_SIDE: Final = 224
_BLACK: Final = 16
"""JPEG leaves black bars a little grey."""


class LocalBackend:
    """Answers with the engine in a slot.

    Args:
        slot: the engine that serves.
        batcher: feeds it.
        settings: limits.
    """

    def __init__(self, slot: EngineSlot, batcher: Batcher, settings: Settings) -> None:
        self._slot = slot
        self._batcher = batcher
        self._video = settings.video
        self._decoder = _Decoder(settings.decode, settings.serving.frame_budget_pixels)

    def identity(self, image: Image | None = None) -> tuple[str, str]:
        """Model version and policy that would answer now."""
        live = self._slot.require()
        return live.version, live.policy

    def reference(self, version: str) -> tuple[float, ...]:
        """How the version's own probabilities were spread, if it serves."""
        live = self._slot.current
        return live.facts.reference if live is not None and live.version == version else ()

    def stages(self) -> tuple[Stage, ...]:
        """The stages of the engine that serves; empty before there is one."""
        return self._slot.current.stages if self._slot.current is not None else ()

    def instead_of(self, version: str) -> str:
        """The version that ought to serve where this one stands in for it; empty where it does not."""
        live = self._slot.current
        return live.facts.instead_of if live is not None and live.version == version else ""

    async def answer(self, image: Image, deadline: float | None = None, partial: bool = False) -> Answer:
        """Answers one image; `partial` answers at the deadline with what the stages so far have seen.

        Raises:
            ImageError: it cannot be decoded.
            EngineError: the model failed on it.
            NotReadyError: there is no model.
            TimeoutError: at the deadline no stage had seen the image.
        """
        async with self._decoder.frame(image, self._batcher) as (frame, seconds):
            done = await self._batcher.answer_until(frame, deadline if partial else None)
            steps = {"decode": seconds, "queue": done.queued_seconds}
            era = guess_era(frame.pixels)
            return Answer(done.verdict, frame.width, frame.height, era, done.complete, steps)

    async def answer_video(self, video: Image, deadline: float | None = None) -> dict[str, Any]:
        """The verdict over time of a video.

        Raises:
            VideoError: it cannot be decoded, or breaks a limit.
            MissingExtraError: PyAV is not installed.
        """
        self._slot.require()
        return await answer_clip(video.data, video.name, self._batcher, self._video, self._decoder.processes)

    def close(self) -> None:
        """Ends the decoding threads."""
        self._decoder.close()


class _Decoder:
    """A decoded image is fifty times its bytes, so decoding waits while too many pixels are held.

    What may be costly (`_plain`) is decoded in a process, one after the other, so that it keeps nobody else waiting. A
    picture that was not decoded in time is not tried again.
    """

    def __init__(self, limits: Decode, budget_pixels: int) -> None:
        self._limits = limits
        self._budget = budget_pixels
        self._held = 0
        self._turn = asyncio.Semaphore(DECODE_THREADS)
        self._costly_turn = asyncio.Semaphore(1)
        self._too_costly: dict[str, DecodeTimeoutError] = {}
        self.processes = DecodePool()
        self._freed = asyncio.Event()
        self._threads = ThreadPoolExecutor(DECODE_THREADS + 1, thread_name_prefix="decode")

    @asynccontextmanager
    async def frame(self, image: Image, batcher: Batcher) -> AsyncIterator[tuple[Frame, float]]:
        """The decoded image, and the seconds that took; its pixels count until the context is left."""
        frame, seconds = await self._decode(image, batcher)
        pixels = frame.width * frame.height
        try:
            yield frame, seconds
        finally:
            self._held -= pixels
            self._freed.set()

    async def _decode(self, image: Image, batcher: Batcher) -> tuple[Frame, float]:
        loop = asyncio.get_running_loop()
        if image.sha256 in self._too_costly:
            raise self._too_costly[image.sha256]
        heavy = len(image.data) > HEAVY_BYTES
        plain = await asyncio.to_thread(is_plain, image.data) if heavy else is_plain(image.data)
        with batcher.expecting() if plain else nullcontext():  # nobody's batch waits for a costly one
            async with self._turn if plain else self._costly_turn:
                while self._held >= self._budget:
                    self._freed.clear()
                    await self._freed.wait()
                started = loop.time()
                decode = decode_image if plain else self._decode_apart
                try:
                    frame = await loop.run_in_executor(self._threads, decode, image.data, image.name, self._limits)
                except DecodeTimeoutError as error:
                    self._remember(image.sha256, error)
                    raise
                self._held += frame.width * frame.height
        return frame, loop.time() - started

    def _decode_apart(self, data: bytes, name: str, limits: Decode) -> Frame:
        with self.processes.take() as process:
            return process.decode(data, name, limits)

    def _remember(self, sha256: str, error: DecodeTimeoutError) -> None:
        if len(self._too_costly) >= TOO_COSTLY_KEPT:
            del self._too_costly[next(iter(self._too_costly))]
        self._too_costly[sha256] = error

    def close(self) -> None:
        self.processes.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def guess_era(pixels: Pixels) -> Era:
    """The challenge regime an image most likely came in; only the size and black bars tell.

    Example:
        >>> import numpy as np
        >>> guess_era(np.zeros((720, 1280, 3), np.uint8))
        'native'
    """
    if pixels.shape[:2] != (_CHALLENGE_SIDE, _CHALLENGE_SIDE):
        return "native"
    bars = (pixels[[0, -1]], pixels[:, [0, -1]])
    return "letterbox-224" if any(int(edge.max()) <= _BLACK for edge in bars) else "crop-224"
