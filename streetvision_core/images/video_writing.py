"""Frames to a video file, for rendered drives and tests."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from typing import Any

from streetvision_core.errors import MissingExtraError
from streetvision_core.types import Pixels


def encode_video(
    frames: Iterable[Pixels], fps: float = 2.0, *, container: str = "mp4", codec: str = "libx264", quality: int = 20
) -> bytes:
    """Encodes frames of one size; sides must be even.

    Args:
        frames: uint8 [H, W, 3] RGB, at least one.
        fps: frames per second.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder.
        quality: constant rate factor, 0 (lossless) to 51.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    rest = iter(frames)
    first = next(rest)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        options = {"crf": str(quality), "preset": "veryfast"}
        stream: Any = output.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in chain((first,), rest):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()
