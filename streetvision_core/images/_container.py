"""A video file, opened with limits: what stands in it is read from its packets, not believed from its header."""

from __future__ import annotations

import io
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
from streetvision_core.settings import VideoSettings

VIDEO_SUFFIXES: Final = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts"})
CONTAINERS: Final = "mov,mp4,matroska,webm,avi,mpegts"
"""Playlists and the like are left out: they make the reader open other files and addresses."""
_MICROSECONDS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What stands in a video file.

    Attributes:
        start_seconds: the file's own time of its first picture.
        seconds: from the first picture to the end of the last one.
        promised_seconds: what the header says; None where it says nothing.
        frames: packets of the video stream, about one per picture.
        width: pixels, as stored (before any rotation).
        height: pixels, as stored.
        codec: FFmpeg's name, e.g. `h264`.
        container: FFmpeg's name.
    """

    start_seconds: float
    seconds: float
    promised_seconds: float | None
    frames: int
    width: int
    height: int
    codec: str
    container: str

    @property
    def truncated(self) -> bool:
        """Whether more than a tenth of what the header promises is missing."""
        return self.promised_seconds is not None and self.seconds < 0.9 * self.promised_seconds - 0.2


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
    _check_bytes(data, name, limits)
    options = {"format_whitelist": CONTAINERS, "max_pixels": str(limits.max_pixels)}
    try:
        # a file object, so that FFmpeg itself can open nothing
        source = io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")
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
        first, last, frames = None, 0.0, 0
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            frames += 1
            if packet.pts is not None:
                start = float(packet.pts * packet.time_base)
                first = start if first is None else min(first, start)
                last = max(last, start + float((packet.duration or 0) * packet.time_base))
            if frames > limits.max_frames:
                raise too_large(name, f"more than {limits.max_frames} frames", f"at most {limits.max_frames} frames")
        if not frames:
            raise broken(name, "no picture")
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        seconds = last - first if first is not None and last > first else frames / rate
        promised = stream.duration * stream.time_base if stream.duration else (container.duration or 0) / _MICROSECONDS
        if seconds > limits.max_seconds:
            raise too_large(name, f"{seconds:.0f} seconds", f"at most {limits.max_seconds:.0f} seconds")
        return VideoInfo(
            start_seconds=first or 0.0,
            seconds=seconds,
            promised_seconds=float(promised) or None,
            frames=frames,
            width=stream.width,
            height=stream.height,
            codec=stream.codec_context.name,
            container=container.format.name,
        )


def _check_bytes(data: Path | bytes, name: str, limits: VideoSettings) -> None:
    if isinstance(data, Path) and not data.is_file():
        raise broken(name, "no such file")
    size = len(data) if isinstance(data, bytes) else data.stat().st_size
    if size == 0:
        raise broken(name, "zero bytes")
    if size > limits.max_bytes:
        raise too_large(name, f"{size} bytes", f"at most {limits.max_bytes} bytes")


def _video_stream(container: Any, name: str, limits: VideoSettings) -> Any:
    # a music file's cover is a video stream of one picture
    streams = [s for s in container.streams.video if not int(s.disposition) & 0x400]
    if not streams:
        raise _format(name, f"no video stream in {container.format.name}")
    stream = streams[0]
    if stream.codec_context is None:
        raise _format(name, "a codec nobody here decodes")
    width, height = stream.width, stream.height
    if width * height > limits.max_pixels:
        raise too_large(name, f"{width}x{height} pixels", f"at most {limits.max_pixels} pixels")
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


def too_large(name: str, what: str, allowed: str) -> VideoTooLargeError:
    """The error of a file that breaks a limit."""
    return VideoTooLargeError(
        got=f"{what} from {name}",
        allowed=allowed,
        action="cut or scale the video, or raise the limits in the settings section 'video'",
        source=name,
    )


def _format(name: str, what: str) -> VideoFormatError:
    return VideoFormatError(
        got=f"{what} from {name}",
        allowed=f"a video stream that FFmpeg decodes, in one of {CONTAINERS}",
        action="convert it, e.g.: ffmpeg -i INPUT -c:v libx264 -an OUTPUT.mp4",
        source=name,
    )
