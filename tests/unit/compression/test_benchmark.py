from __future__ import annotations

import itertools

import numpy as np
import pytest

from streetvision_core.compression.benchmark import SIGN_TEST_LEVEL, Timing, faster, interleave


def test_interleave__goes_a_b_a_b() -> None:
    seen: list[str] = []
    interleave({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, rounds=3, warmup=1)
    assert "".join(seen) == "abababab"


def test_interleave__counts_only_after_the_warmup() -> None:
    ticks = itertools.count()
    timings = interleave(
        {"a": lambda: None, "b": lambda: next(ticks)}, rounds=4, warmup=2, clock=lambda: float(next(ticks))
    )
    assert timings["a"].seconds == (1.0,) * 4
    assert timings["b"].seconds == (2.0,) * 4


def test_timing__median_and_p95() -> None:
    timing = Timing(tuple(np.arange(1, 101) / 1000))
    assert timing.to_dict() == {"rounds": 100, "median_seconds": 0.0505, "p95_seconds": 0.09505}


@pytest.mark.parametrize(
    ("candidate", "reference", "expected"),
    [
        ([1.0] * 20, [2.0] * 20, True),
        ([2.0] * 20, [1.0] * 20, False),
        ([1.0] * 20, [1.0] * 20, False),
        ([1.0] * 3, [2.0] * 3, False),
        ([1.0] * 11 + [2.1] * 9, [2.0] * 20, False),
    ],
)
def test_faster__table(candidate: list[float], reference: list[float], expected: bool) -> None:
    assert faster(Timing(tuple(candidate)), Timing(tuple(reference))).faster is expected


def test_faster__equal_speeds_are_called_faster_at_most_at_the_level() -> None:
    rng = np.random.default_rng(0)
    n = 3000
    called = 0
    for _ in range(n):
        load = rng.gamma(2.0, 1.0, 30)  # a busy machine slows both of a round
        a, b = (load + rng.exponential(0.3, 30) for _ in range(2))
        called += faster(Timing(tuple(a)), Timing(tuple(b))).faster
    assert called / n <= SIGN_TEST_LEVEL + 3 * np.sqrt(SIGN_TEST_LEVEL / n)
