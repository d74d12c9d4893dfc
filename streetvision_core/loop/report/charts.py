"""Places on scales, as percentages, so that the page draws its small charts with plain boxes at any width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from streetvision_core.loop.report.fields import Estimate
from streetvision_core.loop.report.models import Comparison


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from `low` to `high`."""

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Where `value` stands, 0 to 100; values outside are put on the edge."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers within the scale, at most about `most` of them."""
        step = _round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 6) for number in range(first, last + 1)]


def scale_for(estimates: Sequence[Estimate | None], padding: float = 0.06) -> Scale:
    """A scale that holds every estimate with its interval, rounded outwards; 0 to 1 if there is none."""
    values = [v for e in estimates if e is not None for v in (e.low, e.value, e.high) if v is not None]
    if not values:
        return Scale(0.0, 1.0)
    room = max((max(values) - min(values)) * padding, 0.01)
    step = _round_step((max(values) - min(values) + 2 * room) / 5)
    low, high = math.floor((min(values) - room) / step) * step, math.ceil((max(values) + room) / step) * step
    if min(values) >= 0 and max(values) <= 1:  # shares: never draw an impossible range
        low, high = max(low, 0.0), min(high, 1.0)
    return Scale(round(low, 6), round(high, 6))


def comparison_scales(rows: Sequence[Comparison]) -> list[Scale]:
    """A scale per row of the champion-challenger table, all of the same width.

    Rows then stand where their numbers are, and a wide interval looks wide in every row.
    """
    scales = [scale_for((row.champion, row.challenger)) for row in rows]
    width = max((scale.high - scale.low for scale in scales), default=1.0)
    return [_widened(scale, width) for scale in scales]


def _widened(scale: Scale, width: float) -> Scale:
    low = scale.low - (width - (scale.high - scale.low)) / 2
    if scale.high <= 1:
        low = min(low, 1 - width)
    if scale.low >= 0:
        low = max(low, 0.0)
    return Scale(round(low, 4), round(low + width, 4))


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line chart: percentages from the left and from the bottom, and the interval's."""

    x: float
    y: float
    low: float | None
    high: float | None
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """A named line; `style` is one of the page's line styles, 1 or 2."""

    name: str
    style: int
    points: tuple[Point, ...]

    @property
    def segments(self) -> list[tuple[Point, Point]]:
        """Neighbouring points."""
        return list(pairwise(self.points))


def line(name: str, style: int, xs: Sequence[float], estimates: Sequence[Estimate | None], y: Scale) -> Line:
    """Places a series; days without a number are left out.

    Args:
        name: for the legend.
        style: 1 or 2.
        xs: 0 to 100 per estimate.
        estimates: the numbers.
        y: the scale.
    """
    points = []
    for x, estimate in zip(xs, estimates, strict=True):
        if estimate is not None and estimate.value is not None:
            low, high = (None if v is None else y.percent(v) for v in (estimate.low, estimate.high))
            points.append(Point(round(x, 2), y.percent(estimate.value), low, high, f"{estimate.value:.3f}"))
    return Line(name, style, tuple(points))


def spread(count: int, edge: float = 6.0) -> list[float]:
    """Evenly spread places, in percent, with some room at the edges."""
    if count == 1:
        return [50.0]
    return [edge + (100 - 2 * edge) * number / (count - 1) for number in range(count)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
