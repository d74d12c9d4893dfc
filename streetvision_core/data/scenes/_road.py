"""The road: a curved centre line with lanes, shoulders and pavements, in road coordinates (s along, d to the right)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from streetvision_core.data.scenes._camera import Array
from streetvision_core.data.scenes._mesh import Color

Setting = Literal["town", "suburb", "country", "highway"]
Region = Literal["us", "eu"]

BEFORE: Final = 80
"""Metres of road kept behind s = 0."""

WHITE: Final[Color] = (214, 214, 208)
YELLOW: Final[Color] = (222, 170, 40)


@dataclass(frozen=True, slots=True)
class Marking:
    """A line painted along the road at offset d; `dash` is (paint, gap) in metres, None for a solid line."""

    d: float
    width: float
    color: Color
    dash: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip of ground between the offsets d0 and d1."""

    d0: float
    d1: float
    color: Color


def _strip(a: float, b: float, color: Color) -> Strip:
    return Strip(min(a, b), max(a, b), color)


@dataclass(frozen=True, slots=True)
class Section:
    """The cross-section. Right of d = 0 traffic runs with us.

    Attributes:
        setting: what lies beside the road.
        region: whose signs and markings.
        right_lanes: lanes in our direction.
        left_lanes: lanes against us; the opposite carriageway where `median` > 0.
        lane: width of a lane, metres.
        parking: width of the parking lanes, 0 where there are none.
        shoulder: width of the paved shoulder.
        walk: width of the pavement, 0 where there is none.
        median: width of the strip between the directions.
        asphalt: RGB.
        verge: RGB of what lies beyond.
    """

    setting: Setting
    region: Region
    right_lanes: int
    left_lanes: int
    lane: float
    parking: float
    shoulder: float
    walk: float
    median: float
    asphalt: Color
    verge: Color

    @property
    def right(self) -> float:
        """Offset of the right edge of the paved road."""
        return self.right_lanes * self.lane + self.parking + self.shoulder

    @property
    def left(self) -> float:
        """Offset of the left edge of the paved road, negative."""
        return -(self.left_lanes * self.lane + self.parking + self.shoulder + self.median)

    @property
    def lanes_end(self) -> float:
        """Offset of the right edge of the rightmost driving lane."""
        return self.right_lanes * self.lane

    def lane_middle(self, number: int) -> float:
        """Offset of the middle of lane `number` of our direction, 0 the leftmost."""
        return (number + 0.5) * self.lane

    def strips(self) -> list[Strip]:
        """The ground from the road outwards, in painting order."""
        strips = [Strip(self.left, self.right, self.asphalt)]
        tone = 0.93
        worn: Color = (self.asphalt[0] * tone, self.asphalt[1] * tone, self.asphalt[2] * tone)
        for number in range(self.right_lanes):
            for track in (-0.8, 0.8):
                middle = self.lane_middle(number) + track
                strips.append(Strip(middle - 0.28, middle + 0.28, worn))
        if self.median:
            color: Color = (112, 118, 84) if self.setting != "town" else (140, 138, 132)
            strips.append(Strip(-self.median + 0.4, -0.4, color))
        for side, edge in ((1, self.right), (-1, self.left)):
            if self.walk:
                inner, outer = edge, edge + side * self.walk
                strips.append(_strip(inner, outer, (158, 154, 148)))
                strips.append(_strip(inner, inner + side * 0.18, (186, 184, 178)))
            else:
                strips.append(_strip(edge, edge + side * 0.9, (134, 124, 104)))
        return strips

    def markings(self) -> list[Marking]:
        """The painted lines."""
        dash = (3.0, 9.0) if self.region == "us" else (3.0, 6.0)
        inner = YELLOW if self.region == "us" else WHITE
        lines = [Marking(n * self.lane, 0.13, WHITE, dash) for n in range(1, self.right_lanes)]
        lines += [Marking(-self.median - n * self.lane, 0.13, WHITE, dash) for n in range(1, self.left_lanes)]
        if self.median:
            lines += [Marking(0.15, 0.14, inner), Marking(-self.median - 0.15, 0.14, inner)]
        elif self.region == "us":
            lines += [Marking(-0.15, 0.11, YELLOW), Marking(0.15, 0.11, YELLOW)]
        elif self.left_lanes:
            lines.append(Marking(0.0, 0.13, WHITE, dash))
        if self.parking or self.shoulder > 0.3:
            lines.append(Marking(self.lanes_end - 0.1, 0.13, WHITE))
            lines.append(Marking(self.left + self.shoulder + self.parking + 0.1, 0.13, WHITE))
        return lines


class Road:
    """The centre line and what is painted on it."""

    def __init__(self, section: Section, bend: float, wave: float, phase: float, length: float) -> None:
        """A road whose curvature is bend * sin(s / wave + phase) per metre, `length` metres ahead of s = 0."""
        self.section = section
        self.length = length
        self._s = np.arange(-BEFORE, length + 340.0)
        curvature = bend * np.sin(self._s / wave + phase)
        heading = np.cumsum(curvature)
        self._heading = heading - heading[BEFORE]
        x, z = np.cumsum(np.sin(self._heading)), np.cumsum(np.cos(self._heading))
        self._x, self._z = x - x[BEFORE], z - z[BEFORE]

    def heading(self, s: float) -> float:
        """Direction of the road at s, radians to the right of world z."""
        return float(np.interp(s, self._s, self._heading))

    def headings(self, s: Array) -> Array:
        """Directions of the road at many s."""
        return np.asarray(np.interp(s, self._s, self._heading))

    def place(self, s: Array | float, d: Array | float, h: Array | float = 0.0) -> Array:
        """World points [..., 3] of road coordinates."""
        turn = np.interp(s, self._s, self._heading)
        x = np.interp(s, self._s, self._x) + d * np.cos(turn)
        z = np.interp(s, self._s, self._z) - d * np.sin(turn)
        return np.stack([x, np.broadcast_to(h, np.shape(x)), z], axis=-1)


def draw_section(rng: np.random.Generator) -> Section:
    """Draws a cross-section."""
    setting: Setting = ("town", "suburb", "country", "highway")[int(rng.choice(4, p=[0.36, 0.24, 0.18, 0.22]))]
    region: Region = "us" if rng.random() < 0.6 else "eu"
    grey = rng.uniform(72, 128)
    asphalt: Color = (grey, grey * rng.uniform(0.97, 1.0), grey * rng.uniform(0.93, 1.0))
    grass = rng.uniform(0.75, 1.15)
    verge: Color = (98 * grass + rng.uniform(0, 40), 112 * grass, 62 * grass)
    lane = float(rng.uniform(3.0, 3.6))
    if setting == "highway":
        return Section(setting, region, int(rng.integers(2, 5)), int(rng.integers(2, 4)), 3.6, 0.0, 2.4, 0.0,
                       float(rng.uniform(1.6, 6)), asphalt, verge)  # fmt: skip
    if setting == "country":
        return Section(setting, region, 1, 1, lane, 0.0, float(rng.uniform(0.2, 1.2)), 0.0, 0.0, asphalt, verge)
    lanes = 1 if rng.random() < 0.55 else 2
    parking = float(rng.choice([0.0, 2.2])) if setting == "town" or lanes == 1 else 0.0
    walk = float(rng.uniform(1.8, 4.0))
    if setting == "town":
        verge = (150, 146, 140)
    return Section(setting, region, lanes, lanes, lane, parking, 0.25, walk, 0.0, asphalt, verge)


def draw_road(rng: np.random.Generator, section: Section, length: float) -> Road:
    """Draws the centre line: town streets are nearly straight."""
    strongest = {"town": 0.0012, "suburb": 0.0035, "country": 0.006, "highway": 0.0018}[section.setting]
    bend = float(rng.uniform(0, strongest))
    return Road(section, bend, float(rng.uniform(40, 120)), float(rng.uniform(0, 2 * np.pi)), length)
