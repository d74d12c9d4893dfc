"""Values that come from another process: each is of its kind and within its limits, or refused."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Final, get_args

from streetvision_core.types import Stage, Verdict

MAX_TEXT: Final = 200
MAX_BINS: Final = 100
MAX_COUNT: Final = 10**6
MAX_EVIDENCE: Final = 10_000
_STAGES: Final = get_args(Stage)


def text(value: Any, empty: bool = False) -> str:
    """A short line without control characters.

    Raises:
        ValueError: another kind of value; so do the other functions here.
    """
    if not isinstance(value, str) or len(value) > MAX_TEXT or not (value or empty):
        raise ValueError("no name")
    return "".join(c if c.isprintable() else "?" for c in value)


def count(value: Any, least: int = 0) -> int:
    """A whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_COUNT:
        raise ValueError("no number")
    return value


def number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no finite number")
    return float(value)


def share(value: Any) -> float:
    """A number from 0 to 1."""
    if not 0 <= number(value) <= 1:
        raise ValueError("no share")
    return float(value)


def seconds(value: Any) -> float:
    """A duration."""
    if number(value) < 0:
        raise ValueError("no duration")
    return float(value)


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def moment(value: Any) -> datetime:
    """An aware time."""
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError("a time without a zone")
    return time


def checked_verdict(verdict: Verdict) -> Verdict:
    """A verdict whose every value is of its kind."""
    share(verdict.p_roadwork)
    if verdict.exit_stage not in _STAGES:
        raise ValueError("no stage")
    flag(verdict.certified)
    text(verdict.model_version)
    text(verdict.policy)
    seconds(verdict.seconds)
    for evidence in verdict.evidence:
        if evidence.stage not in _STAGES:
            raise ValueError("no stage")
        seconds(evidence.seconds)
        if not all(isinstance(piece, str) for piece in evidence.text):
            raise ValueError("text that is none")
        for value in evidence.scores.values():
            number(value)
        for boxes in evidence.boxes.values():
            for box in boxes[:MAX_EVIDENCE]:
                text(box.label)
                for side in (box.x0, box.y0, box.x1, box.y1, box.score):
                    number(side)
    return verdict
