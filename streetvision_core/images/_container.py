"""A video file, opened with limits: what stands in it is read from its packets, not believed from its header."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import (
    MissingExtraError,
    VideoBrokenError,
    VideoError,
    VideoFormatError,
    VideoTooLargeError,
)
from streetvision_core.images._clock import AHEAD_SECONDS, Clock
from streetvision_core.images.files import open_file
from streetvision_core.images.sniff import HEAD_BYTES, TEXT, UNKNOWN, sniff
from streetvision_core.settings import VideoSettings

CONTAINERS: Final = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg"
"""Playlists and the like are left out: they make the reader open other files and addresses."""
_MICROSECONDS: Final = 1_000_000
_COVER: Final = 0x400
_DEFAULT: Final = 0x1


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What stands in a video file.

    Attributes:
        start_seconds: the file's own time of its first picture.
        seconds: from the first picture to the end of the last one, by the packets' own times.
        promised_seconds: what the header says, less what it shows the last picture longer than others; None where it
            says nothing.
        frames: packets of the video stream, about one per picture.
        width: pixels, as stored (before any rotation).
        height: pixels, as stored.
        codec: FFmpeg's name, e.g. `h264`.
        container: FFmpeg's name.
        tracks: video tracks in the file, of which the largest is looked at.
        joins: how often the clock starts again, as where parts were put behind one another.
    """

    start_seconds: float
    seconds: float
    promised_seconds: float | None
    frames: int
    width: int
    height: int
    codec: str
    container: str
    tracks: int = 1
    joins: int = 0

    @property
    def truncated(self) -> bool:
        """Whether more than a tenth of what the header promises is missing."""
        return self.promised_seconds is not None and self.seconds < 0.9 * self.promised_seconds - 0.2

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads the answer has to know."""
        said = []
        if self.truncated:
            said.append(
                f"the file ends after {self.seconds:.1f} s of the {self.promised_seconds:.1f} s its header promises"
            )
        if self.joins:
            times = "once" if self.joins == 1 else f"{self.joins} times"
            said.append(f"the clock starts again {times}, as in parts put together; times go on from the part before")
        if self.tracks > 1:
            said.append(f"{self.tracks} video tracks: the largest, {self.width}x{self.height}, was looked at")
        return tuple(said)


@contextmanager
def opened(data: Path | bytes, name: str, limits: VideoSettings) -> Iterator[tuple[Any, Any]]:
    """The container and its first video stream; whatever FFmpeg raises inside becomes a named error.

    Raises:
        MissingExtraError: PyAV is not installed.
        VideoError: see `streetvision_core.images.video.open_video`.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    _check_file(data, name, limits)
    options = {"format_whitelist": CONTAINERS, "max_pixels": str(limits.max_pixels)}
    try:
        # a file object, so that FFmpeg itself can open nothing
        source = io.BytesIO(data) if isinstance(data, bytes) else open_file(data)
        with source as file, av.open(file, options=options, metadata_errors="replace") as container:
            yield container, _video_stream(container, name, limits)
    except VideoError:
        raise
    except (av.error.DecoderNotFoundError, av.error.DemuxerNotFoundError) as error:
        raise _format(name, str(error.strerror)) from error
    except av.error.ArgumentError as error:  # what the whitelist and the pixel limit answer with
        raise _format(name, "a container that is not read, or pictures above the limit") from error
    except (av.error.FFmpegError, OSError) as error:
        raise broken(name, f"{type(error).__name__}: {error.strerror}") from error


def probe(data: Path | bytes, name: str, limits: VideoSettings) -> VideoInfo:
    """Reads all packets and decodes none.

    Raises:
        VideoError: see `streetvision_core.images.video.open_video`.
    """
    with opened(data, name, limits) as (container, stream):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        clock, ends = Clock(container.format.name, 1 / rate), _Ends()
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:  # decoded and not shown, as before a cut in an edit list
                continue
            ends.take(packet, clock)
            if ends.frames > limits.max_frames:
                most = f"at most {limits.max_frames} frames"
                raise too_large(name, f"more than {limits.max_frames} frames", most, "max_frames")
        if not ends.frames:
            raise broken(name, "no picture")
        seconds, longer = ends.seconds(1 / rate)
        promised = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / _MICROSECONDS
        if seconds > limits.max_seconds:
            most = f"at most {limits.max_seconds:.0f} seconds"
            raise too_large(name, f"{seconds:.0f} seconds", most, "max_seconds")
        return VideoInfo(
            start_seconds=ends.first or 0.0,
            seconds=seconds,
            # where clocks start again the header tells of one part, or of the distance between two clocks
            promised_seconds=None if clock.joins or not promised else float(promised) - longer,
            frames=ends.frames,
            width=stream.width,
            height=stream.height,
            codec=stream.codec_context.name,
            container=container.format.name,
            tracks=len(_tracks(container)),
            joins=clock.joins,
        )


class _Ends:
    """First and last moment of the packets seen."""

    def __init__(self) -> None:
        self.frames = 0
        self.first: float | None = None
        self._last = 0.0
        self._shown = 0.0
        self._milliseconds: Counter[int] = Counter()

    def take(self, packet: Any, clock: Clock) -> None:
        """Counts a packet; decoding times never go back within a part, showing times do."""
        self.frames += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            return
        base = packet.time_base
        decoded = packet.dts if packet.dts is not None else time
        ahead = float((time - decoded) * base)
        start = clock.at(float(decoded * base)) + (ahead if abs(ahead) < AHEAD_SECONDS else 0.0)  # a join between both
        shown = float((packet.duration or 0) * base)
        self._milliseconds[round(shown * 1000)] += 1
        if self.first is None or start >= self._last:
            self._last, self._shown = start, shown
        self.first = start if self.first is None else min(self.first, start)

    def seconds(self, step: float) -> tuple[float, float]:
        """From the first picture to the end of the last, and how much longer the file shows that one.

        At a variable frame rate nobody knows how long the last picture was seen, and writers repeat the distance
        before it, which may be seconds: it counts no longer than the middle one of all pictures.
        """
        if self.first is None or (self._last <= self.first and not self._shown):
            return self.frames * step, 0.0
        middle = sorted(self._milliseconds.elements())[self._milliseconds.total() // 2] / 1000 or step
        last = min(self._shown or middle, middle)
        return self._last + last - self.first, max(0.0, self._shown - last)


def _check_file(data: Path | bytes, name: str, limits: VideoSettings) -> None:
    """Whether it may be a video at all, before FFmpeg guesses."""
    if isinstance(data, bytes):
        size, head = len(data), data[:HEAD_BYTES]
    else:
        with open_file(data) as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(HEAD_BYTES)
    if size == 0:
        raise broken(name, "zero bytes")
    if size > limits.max_bytes:
        raise too_large(name, f"{size} bytes", f"at most {limits.max_bytes} bytes", "max_bytes")
    kind = sniff(head)
    if kind.media == "image":
        raise _format(name, f"a picture ({kind.name})", "give it where pictures are read, or POST it to /v1/predict")
    if kind.media == "sound":
        raise _format(name, f"sound alone ({kind.name})", "give a file with pictures in it")
    if kind.media == "other" and kind not in (TEXT, UNKNOWN):
        raise _format(name, kind.name, "give a video file")


def _tracks(container: Any) -> list[Any]:
    # a music file's cover is a video stream of one picture
    return [s for s in container.streams.video if not int(s.disposition) & _COVER]


def _video_stream(container: Any, name: str, limits: VideoSettings) -> Any:
    streams = _tracks(container)
    if not streams:
        sounds = ", ".join(s.codec_context.name for s in container.streams.audio if s.codec_context)
        what = f"sound alone ({sounds})" if sounds else "no video stream"
        raise _format(name, f"{what} in {container.format.name}", "give a file with pictures in it")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise _format(name, "a codec nobody here decodes")
    stream = max(known, key=lambda s: (s.width * s.height, int(s.disposition) & _DEFAULT, -s.index))
    width, height = stream.width, stream.height
    if width * height > limits.max_pixels:
        raise too_large(name, f"{width}x{height} pixels", f"at most {limits.max_pixels} pixels", "max_pixels")
    if width * height == 0:
        raise broken(name, f"{width}x{height} pixels")
    return stream


def broken(name: str, what: str) -> VideoBrokenError:
    """The error of a file that cannot be decoded."""
    return VideoBrokenError(
        got=f"{what} from {name}",
        allowed="a complete video file",
        action="record, copy or send the video again",
        source=name,
    )


def too_large(name: str, what: str, allowed: str, limit: str) -> VideoTooLargeError:
    """The error of a file that breaks a limit of the settings section `video`."""
    return VideoTooLargeError(
        got=f"{what} from {name}",
        allowed=allowed,
        action=f"cut or scale the video, or raise SV_VIDEO__{limit.upper()}",
        source=name,
    )


CONVERT: Final = "convert it, e.g.: ffmpeg -i INPUT -c:v libx264 -an OUTPUT.mp4"


def _format(name: str, what: str, action: str = CONVERT) -> VideoFormatError:
    return VideoFormatError(
        got=f"{what} from {name}",
        allowed=f"a video stream that FFmpeg decodes, in one of {CONTAINERS}",
        action=action,
        source=name,
    )
