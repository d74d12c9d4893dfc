"""Ordinary traffic: cars, vans, trucks and buses as lofted solids with windows, wheels and lamps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from streetvision_core.data.scenes._mesh import Color, Mesh, MeshBuilder

PAINTS: Final[tuple[Color, ...]] = (
    (236, 236, 234), (200, 202, 204), (136, 140, 144), (60, 62, 66), (28, 28, 30), (150, 28, 30), (36, 62, 120),
    (216, 92, 28), (196, 40, 34), (70, 92, 80), (170, 150, 120), (232, 186, 44), (92, 110, 140), (245, 246, 246),
)  # fmt: skip
"""Orange, red and yellow among them: colour alone must not say road work."""

CARS: Final = 28
BIG: Final = 10
GLASS: Final[Color] = (38, 46, 54)
TYRE: Final[Color] = (26, 26, 27)


@dataclass(frozen=True, slots=True)
class _Body:
    """Lengths in metres: overall, the belt line's height, the cabin on top as shares of the length."""

    length: float
    width: float
    height: float
    belt: float
    base: tuple[float, float]
    roof: tuple[float, float]


_BODIES: Final[tuple[_Body, ...]] = (
    _Body(4.6, 1.82, 1.45, 0.9, (0.1, 0.74), (0.25, 0.56)),
    _Body(4.1, 1.76, 1.5, 0.92, (0.02, 0.76), (0.08, 0.58)),
    _Body(4.7, 1.9, 1.72, 1.05, (0.02, 0.74), (0.07, 0.6)),
    _Body(5.2, 2.0, 2.1, 1.15, (0.01, 0.86), (0.02, 0.74)),
)


@cache
def car(variant: int, night: bool) -> Mesh:
    """A passenger car or van, variants 0..CARS-1."""
    body = _BODIES[(0, 1, 2, 0, 1, 2, 3)[variant % 7]]
    return _car(body, PAINTS[variant % len(PAINTS)], night)


def _car(body: _Body, paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    half, w, belt = body.length / 2, body.width / 2, body.belt
    # a sill, a flank that leans in, a bonnet that falls towards the nose
    profile = [(-half, 0.3), (-half * 0.995, belt - 0.08), (-half * 0.97, belt), (half * 0.55, belt),
               (half * 0.93, belt - 0.1), (half, belt - 0.26), (half, 0.3)]  # fmt: skip
    left, _ = builder.prism(profile, -w, w, paint)
    ends = {"left": left, "right": left + 1, "back": left + 2, "front": left + 7}
    z = [-half + share * body.length for share in (*body.base, *body.roof)]
    cabin = builder.loft((-w * 0.93, w * 0.93, z[0], z[1]), (-w * 0.76, w * 0.76, z[2], z[3]), belt, body.height, paint)
    _glaze(builder, cabin, body, (z[0], z[1], z[2], z[3]), w)
    _lamps(builder, ends, body, night)
    for side, x in (("left", -w), ("right", w)):
        _flank(builder, ends[side], x * 1.002, half, belt, paint)
        for at in (-half * 0.62, half * 0.62):
            wheel(builder, ends[side], x * 1.005, at, 0.33)
    return builder.build()


def _flank(builder: MeshBuilder, owner: int, x: float, half: float, belt: float, paint: Color) -> None:
    """Dark sill, light shoulder, wheel arches."""
    dark: Color = (0.45 * paint[0], 0.45 * paint[1], 0.45 * paint[2])
    light: Color = (min(255.0, 1.12 * paint[0] + 8), min(255.0, 1.12 * paint[1] + 8), min(255.0, 1.12 * paint[2] + 8))
    for y0, y1, color in ((0.3, 0.4, dark), (belt - 0.16, belt - 0.1, light)):
        builder.decal(
            owner, [(x, y1, -half * 0.97), (x, y1, half * 0.9), (x, y0, half * 0.9), (x, y0, -half * 0.97)], color
        )
    angles = np.linspace(0, np.pi, 9)
    for at in (-half * 0.62, half * 0.62):
        arch = [(x, 0.3 + 0.4 * float(np.sin(a)), at + 0.42 * float(np.cos(a))) for a in angles]
        builder.decal(owner, arch, (22, 22, 24))


def _glaze(
    builder: MeshBuilder, cabin: dict[str, int], body: _Body, z: tuple[float, float, float, float], w: float
) -> None:
    def at(x: float, rise: float, end: int) -> tuple[float, float, float]:
        half = w * (0.93 + (0.76 - 0.93) * rise) * x
        return (half, body.belt + (body.height - body.belt) * rise, z[end] + (z[end + 2] - z[end]) * rise)

    for end, name in ((0, "back"), (1, "front")):
        ring = [at(-0.88, 0.9, end), at(0.88, 0.9, end), at(0.9, 0.1, end), at(-0.9, 0.1, end)]
        builder.decal(cabin[name], ring, GLASS)
        shine = [at(-0.88, 0.9, end), at(0.1, 0.9, end), at(-0.4, 0.1, end), at(-0.9, 0.1, end)]
        builder.decal(cabin[name], shine, (58, 70, 80))
    for x, name in ((-1.0, "left"), (1.0, "right")):
        for start, stop in ((0.06, 0.47), (0.53, 0.94)):
            ring = []
            for share, rise in ((start, 0.88), (stop, 0.88), (stop, 0.1), (start, 0.1)):
                a, b = at(x, rise, 0), at(x, rise, 1)
                ring.append((a[0] * 1.002, a[1], a[2] + (b[2] - a[2]) * share))
            builder.decal(cabin[name], ring, GLASS)


def _lamps(builder: MeshBuilder, lower: dict[str, int], body: _Body, night: bool) -> None:
    half, w, belt = body.length / 2, body.width / 2, body.belt
    _bar(builder, lower["back"], (-w, w), (0.28, 0.45), -half - 0.004, (44, 44, 46))
    _bar(builder, lower["front"], (-w, w), (0.28, 0.42), half + 0.004, (40, 40, 42))
    _bar(builder, lower["front"], (-0.5 * w, 0.5 * w), (0.44, belt - 0.3), half + 0.004, (30, 30, 32))
    _bar(builder, lower["back"], (-0.26, 0.26), (0.5, 0.62), -half - 0.004, (226, 226, 216))
    for side in (-1, 1):
        rear = (side * 0.62 * w, side * 0.96 * w)
        _bar(
            builder, lower["back"], rear, (belt - 0.26, belt - 0.06), -half - 0.004, (190, 16, 20), 1.2 if night else 0
        )
        head = (side * 0.58 * w, side * 0.95 * w)
        _bar(builder, lower["front"], head, (belt - 0.4, belt - 0.27), half + 0.004, (246, 246, 236), 3 if night else 0)


def _bar(
    builder: MeshBuilder,
    owner: int,
    xs: tuple[float, float],
    ys: tuple[float, float],
    z: float,
    color: Color,
    emit: float = 0.0,
) -> None:
    (x0, x1), (y0, y1) = xs, ys
    builder.decal(owner, [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)], color, emit)


def wheel(builder: MeshBuilder, owner: int, x: float, z: float, radius: float) -> None:
    """A wheel on a side face, standing on the ground."""
    angles = np.arange(14) * 2 * np.pi / 14
    for share, color in ((1.0, TYRE), (0.58, (150, 152, 156)), (0.2, (70, 70, 72))):
        ring = [(x, radius + share * radius * float(np.sin(a)), z + share * radius * float(np.cos(a))) for a in angles]
        builder.decal(owner, ring, color)


@cache
def big(variant: int, night: bool) -> Mesh:
    """A delivery truck, lorry or bus, variants 0..BIG-1."""
    makers = (_box_truck, _box_truck, _bus, _box_truck, _bus)
    return makers[variant % len(makers)](variant, night)


_CARGO: Final[tuple[Color, ...]] = ((238, 238, 236), (96, 62, 36), (240, 240, 240), (186, 188, 190), (30, 70, 130))


def _box_truck(variant: int, night: bool) -> Mesh:
    builder = MeshBuilder()
    long = 6.6 + 1.2 * (variant % 3)
    half, w = long / 2, 1.15
    paint = PAINTS[(variant * 5) % len(PAINTS)]
    frame = builder.box((-w * 0.9, w * 0.9, -half, half), 0.45, 0.85, (44, 44, 46))
    cargo = builder.box((-w, w, -half, half - 2.0), 0.85, 3.2, _CARGO[variant % len(_CARGO)])
    cab = builder.loft((-w, w, half - 1.9, half), (-w * 0.95, w * 0.95, half - 1.8, half - 0.35), 0.5, 2.5, paint)
    _bar(builder, cab["front"], (-w * 0.85, w * 0.85), (1.5, 2.25), half + 0.02, GLASS)
    _bar(builder, cargo["back"], (-0.01, 0.01), (0.9, 3.15), -half - 0.004, (120, 120, 120))
    for side in (-1, 1):
        lamp = (side * 0.75 * w, side * 0.98 * w)
        _bar(builder, cargo["back"], lamp, (0.9, 1.05), -half - 0.005, (190, 16, 20), 1.2 if night else 0)
        _bar(builder, cab["front"], lamp, (0.7, 0.9), half + 0.02, (246, 246, 236), 3 if night else 0)
        name = "left" if side < 0 else "right"
        x = side * w * 1.01
        ring = [(x, 2.25, half - 1.5), (x, 2.25, half - 0.5), (x, 1.5, half - 0.4), (x, 1.5, half - 1.5)]
        builder.decal(cab[name], ring, GLASS)
        for z in (-half + 1.4, half - 1.1):
            wheel(builder, frame[name], side * w * 1.01, z, 0.48)
    return builder.build()


def _bus(variant: int, night: bool) -> Mesh:
    builder = MeshBuilder()
    half, w = 5.2, 1.25
    paint: Color = ((240, 176, 20), (210, 40, 40), (60, 110, 170), (230, 230, 226))[variant % 4]
    body = builder.box((-w, w, -half, half), 0.35, 3.0, paint)
    for name, z in (("back", -half - 0.005), ("front", half + 0.005)):
        _bar(builder, body[name], (-w * 0.85, w * 0.85), (1.5, 2.6), z, GLASS)
        _bar(builder, body[name], (-w, w), (0.35, 0.6), z, (50, 50, 52))
        for side in (-1, 1):
            lamp = (side * 0.72 * w, side * 0.95 * w)
            color: Color = (190, 16, 20) if name == "back" else (246, 246, 236)
            _bar(builder, body[name], lamp, (0.75, 1.0), z, color, (1.2 if name == "back" else 3) if night else 0)
    for side, name in ((-1, "left"), (1, "right")):
        x = side * w * 1.004
        for start in np.arange(-half + 0.3, half - 0.9, 1.25):
            ring = [(x, 2.6, start), (x, 2.6, start + 1.1), (x, 1.5, start + 1.1), (x, 1.5, start)]
            builder.decal(body[name], ring, GLASS, 0.5 if night else 0)
        for z in (-half + 2.2, half - 1.8):
            wheel(builder, body[name], x, float(z), 0.5)
    return builder.build()
