"""An engine without a model: the server's own cost is measured, and its promises are tested, with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from streetvision_core.types import Box, Evidence, Frame, Verdict


class StubEngine:
    """Answers from the mean of the pixels: bright is road work, and the same pixels always get the same answer.

    Args:
        version: the model version its verdicts name.
        seconds_per_image: how long it pretends to think.
    """

    def __init__(self, version: str = "stub", seconds_per_image: float = 0.0) -> None:
        self.version = version
        self.seconds_per_image = seconds_per_image

    def predict(self, frames: Sequence[Frame]) -> list[Verdict]:
        """One verdict per frame."""
        return [self._verdict(frame) for frame in frames]

    def _verdict(self, frame: Frame) -> Verdict:
        started = time.perf_counter()
        if self.seconds_per_image:
            time.sleep(self.seconds_per_image)
        p = (float(frame.pixels.mean(dtype="float64")) + 1) / 257
        p = 0.5001 if p == 0.5 else p
        box = Box(frame.width / 4, frame.height / 4, frame.width / 2, frame.height / 2, "cone", 0.8)
        seconds = time.perf_counter() - started
        seen = (
            Evidence("classifier", {"mean": p}, seconds=seconds),
            Evidence("detectors", {"agree.count": 1.0}, {"stub": (box,)}),
        )
        sure = abs(p - 0.5) > 0.25
        stage = seen[0].stage if sure else seen[1].stage
        return Verdict(p, stage, sure, seen[:1] if sure else seen, self.version, "stub", seconds)
