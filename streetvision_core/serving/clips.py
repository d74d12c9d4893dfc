"""Videos on the model side: frames are decoded a few at a time, answered in batches with everybody else's, summed up.

The decoder runs in a process of its own, so that a file that breaks it, or keeps it busy, costs that process alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from streetvision_core.cascade.clip import Mode, sum_up
from streetvision_core.errors import MissingExtraError
from streetvision_core.images.video import Moment, Sampling, Video
from streetvision_core.serving.batching import Batcher
from streetvision_core.serving.decoding import DecodePool
from streetvision_core.serving.gateway import FRAMES_AT_A_TIME
from streetvision_core.settings import VideoSettings
from streetvision_core.types import Verdict

MAX_FRAMES: Final = 120
"""Most frames of one video that are looked at; of a longer one fewer a second."""


async def answer_clip(
    data: bytes, name: str, batcher: Batcher, limits: VideoSettings, pool: DecodePool
) -> dict[str, Any]:
    """The verdict over time of a video, as JSON-ready data; cancelling ends it with the frames under way.

    Raises:
        VideoError: it cannot be decoded, or breaks a limit.
        MissingExtraError: PyAV is not installed.
        EngineError: the model failed on a frame.
    """
    began = time.perf_counter()
    _check_extra()
    with pool.take() as process:
        info = await asyncio.to_thread(process.open_video, data, name, limits)
        video = Video(data, name, info, limits)
        mode, sampling, notes = _plan(video)
        moments = process.stream(video, sampling)
        answers: list[tuple[float, Verdict]] = []
        while batch := await asyncio.to_thread(_next, moments):
            verdicts = await asyncio.gather(*(batcher.answer(moment.frame) for moment in batch))
            answers += zip((moment.seconds for moment in batch), verdicts, strict=True)
    seconds = video.info.seconds
    return sum_up(
        answers,
        [(0.0, max(seconds, answers[-1][0]))],
        limits,
        notes=(*video.info.notes, *notes),
        source=name,
        seconds=seconds,
        mode=mode,
        compute_seconds=time.perf_counter() - began,
    ).to_dict()


def _check_extra() -> None:
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("av", "video") from error


def _plan(video: Video) -> tuple[Mode, Sampling, tuple[str, ...]]:
    limits, seconds = video.limits, video.info.seconds
    if seconds <= limits.direct_seconds:
        return "direct", Sampling(limits.direct_step_seconds), ()
    step = max(limits.keyframes_step_seconds, seconds / MAX_FRAMES)
    if seconds <= limits.keyframes_seconds:
        return "keyframes", Sampling(step, limits.scene_score), ()
    note = f"over HTTP a long video is looked at every {step:.1f} s; `streetvision search` searches it"
    return "keyframes", Sampling(step), (note,)


def _next(moments: Iterator[Moment]) -> list[Moment]:
    return list(islice(moments, FRAMES_AT_A_TIME))
