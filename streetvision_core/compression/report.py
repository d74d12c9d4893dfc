"""What was found about compressed copies, and which of them is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from streetvision_core.compression.benchmark import Faster, Timing
from streetvision_core.compression.int8 import Quantized

MAX_MCC_CHANGE: Final = 0.002


@dataclass(frozen=True, slots=True)
class Candidate:
    """One compressed copy and what was found about it.

    Attributes:
        method: how it was made.
        accepted: it may replace fp32.
        reason: why, or why not.
        model: the file; None if it could not be made.
        timing: its latency; None if it did not run.
        speed: against fp32 in the same run.
        mcc: on the rows judged on; None if it was refused before that.
        decisions_changed: rows on which it decides otherwise than fp32; None as `mcc`.
    """

    method: str
    accepted: bool
    reason: str
    model: Quantized | None = None
    timing: Timing | None = None
    speed: Faster | None = None
    mcc: float | None = None
    decisions_changed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "method": self.method,
            "accepted": self.accepted,
            "reason": self.reason,
            "model": self.model.to_dict() if self.model else None,
            "timing": self.timing.to_dict() if self.timing else None,
            "speed": self.speed.to_dict() if self.speed else None,
            "mcc": self.mcc,
            "decisions_changed": self.decisions_changed,
        }


@dataclass(frozen=True, slots=True)
class CompressionReport:
    """What is served, and why.

    Attributes:
        kept: `fp32` (or `original`, see `check_copies`), or the name of the copy, such as `int8-static`.
        path: the file of what is kept.
        reason: a plain sentence.
        rows: number of rows judged on.
        fp32_bytes: size of the original.
        fp32_mcc: its MCC.
        fp32_timing: its latency; None where no copy could be timed beside it.
        candidates: every copy tried.
    """

    kept: str
    path: Path
    reason: str
    rows: int
    fp32_bytes: int
    fp32_mcc: float
    fp32_timing: Timing | None
    candidates: tuple[Candidate, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; the path as its file name."""
        return {
            "kept": self.kept,
            "file": self.path.name,
            "reason": self.reason,
            "rows": self.rows,
            "max_mcc_change": MAX_MCC_CHANGE,
            "fp32_bytes": self.fp32_bytes,
            "fp32_mcc": self.fp32_mcc,
            "fp32_timing": self.fp32_timing.to_dict() if self.fp32_timing else None,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
        }
