"""Latency of two things measured side by side: A B A B in one run, so that a busy machine slows both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

SIGN_TEST_LEVEL: Final = 0.01


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall seconds of each round of one candidate."""

    seconds: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """The middle round."""
        return float(np.median(self.seconds))

    @property
    def p95_seconds(self) -> float:
        """Nineteen of twenty rounds took no longer."""
        return float(np.percentile(self.seconds, 95))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "rounds": len(self.seconds),
            "median_seconds": round(self.median_seconds, 6),
            "p95_seconds": round(self.p95_seconds, 6),
        }


@dataclass(frozen=True, slots=True)
class Faster:
    """Whether one candidate is faster than another.

    Attributes:
        faster: the sign test over the rounds rejects "as fast or slower" at 1 %, and the median ratio is below 1.
        ratio: median over the rounds of (candidate seconds / reference seconds).
        p_value: exact one-sided sign test.
    """

    faster: bool
    ratio: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"faster": self.faster, "ratio": round(self.ratio, 4), "p_value": self.p_value}


def interleave(
    runs: Mapping[str, Callable[[], object]],
    rounds: int = 30,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Runs every candidate once per round, in turn.

    Args:
        runs: what to time, by name.
        rounds: timed rounds.
        warmup: rounds before them that do not count.
        clock: seconds.

    Example:
        >>> sorted(interleave({"a": lambda: None, "b": lambda: None}, rounds=3))
        ['a', 'b']
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(warmup + rounds):
        for name, run in runs.items():
            start = clock()
            run()
            if number >= warmup:
                seconds[name].append(clock() - start)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def faster(candidate: Timing, reference: Timing) -> Faster:
    """Compares two candidates of one `interleave`, round by round."""
    from scipy.special import bdtrc

    a, b = np.asarray(candidate.seconds), np.asarray(reference.seconds)
    ratio = float(np.median(a / np.maximum(b, 1e-12)))
    wins, losses = int((a < b).sum()), int((a > b).sum())
    p_value = 1.0 if wins == 0 else float(bdtrc(wins - 1, wins + losses, 0.5))
    return Faster(p_value <= SIGN_TEST_LEVEL and ratio < 1, ratio, p_value)
