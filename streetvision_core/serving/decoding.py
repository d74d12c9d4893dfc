"""Decoding that is bounded in time: a process of its own, which is ended when it takes too long."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import IO, Any, Final

import numpy as np

from streetvision_core.errors import DecodeTimeoutError, StreetVisionError, VideoTooLargeError
from streetvision_core.images.video import Moment, Sampling, Video, VideoInfo
from streetvision_core.serving import wire
from streetvision_core.settings import Decode, VideoSettings
from streetvision_core.types import Frame, Pixels

_COMMAND: Final = (sys.executable, "-m", "streetvision_core.serving._decode_child")
START_SECONDS: Final = 20.0
"""Longest a process may take to start; that does not count as decoding."""


class DecodeProcess:
    """One process, one job at a time; call from a thread. It is started with its first job, and again after its end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._left = 0.0
        self._streaming = False
        self._closed = False

    def decode(self, data: bytes, name: str, limits: Decode) -> Frame:
        """Like `decode_image`.

        Raises:
            DecodeTimeoutError: it took longer than `decode.max_seconds`, or the process came to its end over it.
            ImageError: see `decode_image`.
        """
        try:
            job = {"job": "image", "name": name, "limits": limits.model_dump()}
            said, pixels = self._ask(data, job, limits.max_seconds)
        except _LostError:
            raise DecodeTimeoutError(
                got=f"{name}, which is not decoded within {limits.max_seconds:g} s",
                allowed="pictures that are decoded in that time",
                action="save the picture again with another program, or set SV_DECODE__MAX_SECONDS",
            ) from None
        assert pixels is not None
        return Frame(pixels, name, said["sha256"], tuple(said["notes"]))

    def open_video(self, data: bytes, name: str, limits: VideoSettings) -> VideoInfo:
        """Like `images.video.open_video`; `stream` must follow, or `close`.

        Raises:
            VideoTooLargeError: it took longer than `video.decode_seconds`.
            VideoError: see `images.video.open_video`.
        """
        self._left = limits.decode_seconds
        job = {"job": "video", "name": name, "limits": limits.model_dump()}
        try:
            said, _ = self._ask(data, job, self._spend())
        except _LostError:
            raise _too_costly(name, limits) from None
        self._streaming = True
        return VideoInfo(**said["info"])

    def stream(self, video: Video, sampling: Sampling) -> Iterator[Moment]:
        """Like `images.video.stream`; only the time spent decoding counts."""
        try:
            self._write(json.dumps(asdict(sampling)).encode() + b"\n")
            while True:
                began = time.monotonic()
                said, pixels = self._read(self._spend())
                self._left -= time.monotonic() - began
                if pixels is None:
                    self._streaming = False
                    return
                yield Moment(said["seconds"], Frame.from_pixels(pixels, said["source"]), said["why"])
        except _LostError:
            raise _too_costly(video.name, video.limits) from None

    @property
    def alive(self) -> bool:
        """Whether it can take another job at once."""
        return self._process is not None and not self._closed and not self._streaming

    def close(self) -> None:
        """Ends the process, and the job it is at."""
        self._closed = True
        self._end()

    def _spend(self) -> float:
        return max(self._left, 0.001)

    def _ask(self, data: bytes, job: dict[str, Any], seconds: float) -> tuple[dict[str, Any], Pixels | None]:
        if self._process is None:
            self._process = subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._read(START_SECONDS)
        with self._bounded(seconds):
            self._write(json.dumps({**job, "bytes": len(data)}).encode() + b"\n" + data)
            return self._receive()

    def _read(self, seconds: float) -> tuple[dict[str, Any], Pixels | None]:
        with self._bounded(seconds):
            return self._receive()

    def _receive(self) -> tuple[dict[str, Any], Pixels | None]:
        out = self._pipe("stdout")
        line = out.readline()
        if not line.endswith(b"\n"):
            self._end()
            raise _LostError
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            self._streaming = False
            raise wire.error_from_dict(said["error"])
        if said["shape"] is None:
            return said, None
        height, width, depth = said["shape"]
        raw = bytearray(height * width * depth)
        view, got = memoryview(raw), 0
        while got < len(raw):
            more = out.readinto(view[got:])  # type: ignore[attr-defined]
            if not more:
                self._end()
                raise _LostError
            got += more
        return said, np.frombuffer(raw, np.uint8).reshape(height, width, depth)

    def _write(self, data: bytes) -> None:
        try:
            pipe = self._pipe("stdin")
            pipe.write(data)
            pipe.flush()
        except OSError:
            self._end()
            raise _LostError from None

    def _pipe(self, name: str) -> IO[bytes]:
        pipe = getattr(self._process, name, None)
        if pipe is None or self._closed:
            raise _LostError
        found: IO[bytes] = pipe
        return found

    def _bounded(self, seconds: float) -> _Bounded:
        return _Bounded(self._process, seconds)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class DecodePool:
    """Processes that wait for the next job; there are as many as were ever at work at once."""

    def __init__(self) -> None:
        self._idle: list[DecodeProcess] = []
        self._all: set[DecodeProcess] = set()

    @contextmanager
    def take(self) -> Iterator[DecodeProcess]:
        """A process for a job; one that is left in the middle of it is ended."""
        process = self._idle.pop() if self._idle else DecodeProcess()
        self._all.add(process)
        try:
            yield process
        except StreetVisionError:  # of the picture, not of the process
            self._put_back(process)
            raise
        except BaseException:
            self._all.discard(process)
            process.close()
            raise
        else:
            self._put_back(process)

    def close(self) -> None:
        """Ends all of them."""
        for process in self._all:
            process.close()

    def _put_back(self, process: DecodeProcess) -> None:
        if process.alive:
            self._idle.append(process)
        else:
            self._all.discard(process)
            process.close()


class _Bounded:
    """Kills a process that takes longer than so many seconds."""

    def __init__(self, process: subprocess.Popen[bytes] | None, seconds: float) -> None:
        self._timer = threading.Timer(seconds, process.kill if process is not None else lambda: None)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


class _LostError(Exception):
    """The process has come to its end over a job."""


def _too_costly(name: str, limits: VideoSettings) -> VideoTooLargeError:
    return VideoTooLargeError(
        got=f"{name}, which is not decoded within {limits.decode_seconds:g} s",
        allowed="videos that are decoded in that time",
        action="cut or scale the video, or set SV_VIDEO__DECODE_SECONDS",
    )
