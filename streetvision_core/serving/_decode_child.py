"""The process that decodes what may be costly: `python -m streetvision_core.serving._decode_child`.

It reads jobs from standard input and writes what comes of them to standard output: a line of JSON, then the pixels
whose shape the line names; the first line says that it is ready. It ends when its input does, so it outlives nobody,
and it gives way to everybody else's work.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np

from streetvision_core.errors import StreetVisionError
from streetvision_core.images.decode import decode_image
from streetvision_core.images.video import Sampling, open_video, stream
from streetvision_core.serving.wire import error_to_dict
from streetvision_core.settings import Decode, VideoSettings

NICE = 5


def main() -> None:
    """Answers jobs until there are no more."""
    os.nice(NICE)
    jobs, out = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # whatever a library prints is no answer
    _send(out, {"ready": True})
    while line := jobs.readline():
        job = json.loads(line)
        data = jobs.read(job["bytes"])
        try:
            for said, pixels in _do(job, data):
                _send(out, said, pixels)
        except StreetVisionError as error:
            _send(out, {"error": error_to_dict(error)})


def _do(job: dict[str, Any], data: bytes) -> Iterator[tuple[dict[str, Any], Any]]:
    if job["job"] == "image":
        frame = decode_image(data, job["name"], Decode(**job["limits"]))
        yield {"sha256": frame.sha256, "notes": frame.notes}, frame.pixels
        return
    video = open_video(data, job["name"], VideoSettings(**job["limits"]))
    yield {"info": asdict(video.info)}, None
    sampling = json.loads(sys.stdin.buffer.readline())
    for moment in stream(video, Sampling(**sampling)):
        yield {"seconds": moment.seconds, "source": moment.frame.source, "why": moment.why}, moment.frame.pixels
    yield {"end": True}, None


def _send(out: BinaryIO, said: dict[str, Any], pixels: Any = None) -> None:
    shape = None if pixels is None else pixels.shape
    out.write(json.dumps({**said, "shape": shape}).encode() + b"\n")
    if pixels is not None:
        out.write(np.ascontiguousarray(pixels).tobytes())
    out.flush()


if __name__ == "__main__":
    main()
