"""Videos in: frames with their times, a few at a time, under limits. FFmpeg (PyAV) decodes and chooses key frames.

Example:
    >>> video = open_video(Path("drive.mp4"))                           # doctest: +SKIP
    >>> for moment in stream(video, Sampling(step_seconds=0.5)):        # doctest: +SKIP
    ...     print(moment.seconds, moment.frame.width)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from streetvision_core.images._clock import Clock
from streetvision_core.images._container import VideoInfo, broken, opened, probe, too_large
from streetvision_core.images._scene import SceneCuts
from streetvision_core.images.files import printable
from streetvision_core.settings import VideoSettings
from streetvision_core.types import Clip, Frame, Pixels

__all__ = [
    "Moment",
    "Sampling",
    "Video",
    "VideoInfo",
    "open_video",
    "read_clip",
    "stream",
]

MAX_DAMAGED_SHARE: Final = 0.5
"""Of the packets read so far, once a hundred are; a dashcam's power cut damages a few."""
SCENE_CHECK_SECONDS: Final = 0.125
"""Cuts are looked for eight times a second, which costs a quarter of looking at every frame."""
SCENE_GAP_SECONDS: Final = 0.3
"""A strobe makes no more than about three key frames a second."""
_TICK: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A video that was opened once and found readable.

    Attributes:
        data: its file, or its bytes.
        name: how it is called in messages, and its frames' source.
        info: what stands in it.
        limits: what may be decoded of it.
    """

    data: Path | bytes
    name: str
    info: VideoInfo
    limits: VideoSettings


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames are taken.

    Attributes:
        step_seconds: one frame at least this often.
        scene_score: FFmpeg's scene score, 0 to 1, above which a frame is taken besides; None: no matter what changes.
        start_seconds: from here.
        end_seconds: up to and including here; None: the end.
    """

    step_seconds: float
    scene_score: float | None = None
    start_seconds: float = 0.0
    end_seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame of a video.

    Attributes:
        seconds: since the video's first frame.
        frame: the picture, upright.
        why: the grid asked for it, or the scene changed.
    """

    seconds: float
    frame: Frame
    why: Literal["grid", "scene"]


def open_video(data: Path | bytes, name: str | None = None, limits: VideoSettings | None = None) -> Video:
    """Opens a video and reads through it without decoding it.

    Args:
        data: a file, or the bytes of one.
        name: for messages; None takes the path.
        limits: bytes, seconds, pixels and frames; the defaults of `VideoSettings` if None.

    Raises:
        InputError: the file is missing or cannot be read.
        VideoBrokenError: empty or undecodable.
        VideoFormatError: another container or codec, or no video stream.
        VideoTooLargeError: above a limit.
        MissingExtraError: PyAV is not installed.
    """
    limits = limits or VideoSettings()
    called = name or (printable(data) if isinstance(data, Path) else "video")
    return Video(data, called, probe(data, called, limits), limits)


def stream(video: Video, sampling: Sampling) -> Iterator[Moment]:
    """Decodes a video and yields the frames that are asked for, one at a time; no other is kept.

    Damaged stretches are left out while less than half of what was read is damaged.

    Raises:
        VideoBrokenError: nothing, or too little, can be decoded.
        VideoTooLargeError: the decoded frames break a limit the header kept.
    """
    cuts = None if sampling.scene_score is None else SceneCuts(sampling.scene_score)
    taken, checked = -np.inf, -np.inf
    for picture, at in _decode(video, sampling):
        why: Literal["grid", "scene"] | None = "grid" if at - taken >= sampling.step_seconds - _TICK else None
        if cuts is not None and at - checked >= SCENE_CHECK_SECONDS - _TICK:
            checked = at
            if cuts.saw(picture) and why is None and at - taken >= SCENE_GAP_SECONDS:
                why = "scene"
        if why is not None:
            taken = at
            yield Moment(at, Frame.from_pixels(_upright(picture), f"{video.name}@{at:.2f}s"), why)


def read_clip(video: Video, sampling: Sampling) -> Clip:
    """The frames of a stretch, all in memory; for a short video or a short stretch.

    Raises:
        VideoError: see `stream`.
    """
    moments = list(stream(video, sampling))
    return Clip(tuple(m.frame for m in moments), tuple(m.seconds for m in moments), video.name)


def _decode(video: Video, sampling: Sampling) -> Iterator[tuple[Any, float]]:
    """Pictures of the stretch and their times, which never go back."""
    from av.error import InvalidDataError

    latest, count, read, damaged = -np.inf, 0, 0, 0
    with opened(video.data, video.name, video.limits) as (container, source):
        source.thread_type = "AUTO"
        rate = float(source.average_rate or source.guessed_rate or 25)
        clock = Clock(container.format.name, 1 / rate)
        # where clocks start again one time stands for several moments, so the file is read from its beginning
        if sampling.start_seconds > 0 and not video.info.joins:
            container.seek(round((sampling.start_seconds + video.info.start_seconds) / source.time_base), stream=source)
        for packet in container.demux(source):
            read += 1
            try:
                pictures = packet.decode()
            except InvalidDataError:
                damaged += 1
                if read >= 100 and damaged > MAX_DAMAGED_SHARE * read:
                    raise broken(video.name, f"{damaged} damaged pictures of {read}") from None
                continue
            for picture in pictures:
                count += 1
                _check_picture(picture, count, video)
                at = count / rate if picture.time is None else clock.at(float(picture.time))
                own = at - (0.0 if picture.time is None else video.info.start_seconds)
                if own < max(sampling.start_seconds - _TICK, latest):
                    continue
                if sampling.end_seconds is not None and own > sampling.end_seconds + _TICK:
                    return
                latest = own
                yield picture, max(0.0, own)
    if not count:
        raise broken(video.name, "no picture that can be decoded")


def _check_picture(picture: Any, count: int, video: Video) -> None:
    """What is decoded may differ from what the header said."""
    if picture.width * picture.height > video.limits.max_pixels:
        size = f"{picture.width}x{picture.height} pixels"
        raise too_large(video.name, size, f"at most {video.limits.max_pixels} pixels", "max_pixels")
    if count > video.limits.max_frames:
        raise too_large(video.name, f"frame {count}", f"at most {video.limits.max_frames} frames", "max_frames")


def _upright(picture: Any) -> Pixels:
    """RGB, turned as the camera was held (FFmpeg's angle counts against the clock)."""
    pixels: Pixels = picture.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(picture.rotation / 90)))
