"""Work vehicles and machines: excavator, roller, loader, dump truck, arrow-board truck, marked van."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Color, blank, stripes
from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.data.scenes._mesh import Mesh, MeshBuilder
from streetvision_core.data.scenes._vehicles import GLASS, wheel
from streetvision_core.types import Pixels

MACHINES: Final = 12
_YELLOWS: Final[tuple[Color, ...]] = ((240, 176, 24), (232, 160, 20), (246, 196, 40), (226, 108, 30))
_STEEL: Final[Color] = (64, 64, 66)


@cache
def machine(variant: int, night: bool) -> Mesh:
    """A machine or work vehicle, variants 0..MACHINES-1; see the table at the end."""
    return _MAKERS[variant % len(_MAKERS)](_YELLOWS[variant % len(_YELLOWS)], night)


def _slab(
    builder: MeshBuilder, a: tuple[float, float], b: tuple[float, float], thick: float, x: float, c: Color
) -> None:
    """A beam in the zy plane from a to b."""
    along = np.array(b) - np.array(a)
    across = np.array([-along[1], along[0]]) / np.linalg.norm(along) * thick / 2
    ring = [np.array(a) + across, np.array(b) + across * 0.7, np.array(b) - across * 0.7, np.array(a) - across]
    builder.prism([(float(p[0]), float(p[1])) for p in ring], x - 0.16, x + 0.16, c)


def _excavator(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    for x in (-0.95, 0.95):
        track = builder.loft((x - 0.28, x + 0.28, -1.9, 1.9), (x - 0.28, x + 0.28, -1.6, 1.6), 0.0, 0.8, (40, 40, 42))
        for z in (-1.3, -0.45, 0.45, 1.3):
            wheel(builder, track["left" if x < 0 else "right"], x * 1.31, z, 0.3)
    builder.box((-0.7, 0.7, -0.8, 0.8), 0.7, 1.0, _STEEL)
    house = builder.box((-1.2, 1.2, -1.9, 1.1), 1.0, 2.0, paint)
    builder.decal(
        house["back"], [(-0.8, 1.8, -1.905), (0.8, 1.8, -1.905), (0.8, 1.3, -1.905), (-0.8, 1.3, -1.905)], (50, 50, 52)
    )
    cab = builder.loft((-1.2, -0.2, -0.2, 1.3), (-1.15, -0.25, -0.1, 1.1), 2.0, 3.0, paint)
    _panes(builder, cab, (-1.2, -0.2), (-0.2, 1.3), (2.1, 2.9))
    _slab(builder, (0.9, 1.5), (2.9, 4.0), 0.5, 0.25, paint)
    _slab(builder, (2.8, 4.0), (4.5, 3.2), 0.42, 0.25, paint)
    _slab(builder, (4.5, 3.2), (4.3, 1.3), 0.34, 0.25, paint)
    builder.loft((-0.3, 0.8, 3.7, 4.5), (-0.2, 0.7, 4.0, 4.6), 0.5, 1.3, _STEEL)
    builder.box((-0.75, -0.6, 0.3, 0.45), 3.0, 3.18, (255, 150, 20), emit=1.0 if night else 0.9)
    return builder.build()


def _panes(
    builder: MeshBuilder,
    cab: dict[str, int],
    xs: tuple[float, float],
    zs: tuple[float, float],
    ys: tuple[float, float],
) -> None:
    (x0, x1), (z0, z1), (y0, y1) = xs, zs, ys
    m = 0.12
    for name, z in (("back", z0 - 0.004), ("front", z1 + 0.004)):
        builder.decal(cab[name], [(x0 + m, y1, z), (x1 - m, y1, z), (x1 - m, y0, z), (x0 + m, y0, z)], GLASS)
    for name, x in (("left", x0 - 0.004), ("right", x1 + 0.004)):
        builder.decal(cab[name], [(x, y1, z0 + m), (x, y1, z1 - m), (x, y0, z1 - m), (x, y0, z0 + m)], GLASS)


def _roller(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    angles = np.arange(16) * 2 * np.pi / 16
    for z, radius in ((-1.4, 0.62), (1.4, 0.62)):
        ring = [(z + radius * float(np.cos(a)), radius + radius * float(np.sin(a))) for a in angles]
        builder.prism(ring, -0.85, 0.85, (96, 98, 100))
    builder.box((-0.8, 0.8, -1.6, 1.6), 1.05, 1.55, paint)
    builder.box((-0.75, 0.75, 0.5, 1.5), 1.55, 1.85, paint)
    for x in (-0.7, 0.7):
        for z in (-0.9, 0.4):
            builder.box((x - 0.04, x + 0.04, z - 0.04, z + 0.04), 1.55, 2.7, (52, 52, 54))
    builder.box((-0.85, 0.85, -1.1, 0.6), 2.7, 2.82, paint)
    builder.box((-0.1, 0.1, -0.3, -0.1), 2.82, 3.0, (255, 150, 20), emit=1.0 if night else 0.9)
    return builder.build()


def _loader(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    body = builder.box((-0.95, 0.95, -2.5, 0.9), 0.8, 1.8, paint)
    for x in (-1.1, 1.1):
        for z in (-1.6, 1.1):
            tyre = builder.box((x - 0.25, x + 0.25, z - 0.5, z + 0.5), 0.1, 1.2, (34, 34, 35))
            wheel(builder, tyre["left" if x < 0 else "right"], x + (0.26 if x > 0 else -0.26), z, 0.65)
    builder.decal(
        body["back"], [(-0.7, 1.6, -2.505), (0.7, 1.6, -2.505), (0.7, 1.0, -2.505), (-0.7, 1.0, -2.505)], (46, 46, 48)
    )
    cab = builder.box((-0.75, 0.75, -0.9, 0.6), 1.8, 3.1, paint)
    _panes(builder, cab, (-0.75, 0.75), (-0.9, 0.6), (1.95, 2.95))
    for x in (-0.6, 0.6):
        _slab(builder, (0.6, 1.5), (2.6, 0.9), 0.35, x, paint)
    builder.loft((-1.3, 1.3, 2.5, 3.4), (-1.3, 1.3, 2.4, 2.8), 0.15, 1.1, _STEEL)
    builder.box((-0.1, 0.1, -0.2, 0.0), 3.1, 3.28, (255, 150, 20), emit=1.0 if night else 0.9)
    return builder.build()


def _chassis(builder: MeshBuilder, half: float, w: float, cab_color: Color, night: bool) -> None:
    frame = builder.box((-w * 0.9, w * 0.9, -half, half), 0.45, 0.95, (48, 48, 50))
    cab = builder.loft((-w, w, half - 1.9, half), (-w * 0.95, w * 0.95, half - 1.8, half - 0.3), 0.6, 2.6, cab_color)
    _panes(builder, cab, (-w, w), (half - 1.8, half - 0.1), (1.6, 2.35))
    for side, name in ((-1, "left"), (1, "right")):
        for z in (-half + 1.2, half - 1.1):
            wheel(builder, frame[name], side * w * 1.01, z, 0.5)
        xs = (side * 0.7 * w, side * 0.89 * w)
        ring = [(xs[0], 0.9, -half - 0.005), (xs[1], 0.9, -half - 0.005),
                (xs[1], 0.72, -half - 0.005), (xs[0], 0.72, -half - 0.005)]  # fmt: skip
        builder.decal(frame["back"], ring, (200, 20, 20), 1.2 if night else 0)


def _dump_truck(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    half, w = 3.6, 1.2
    cab: Color = paint if paint[1] > 150 else (230, 110, 30)
    _chassis(builder, half, w, cab, night)
    bed = builder.loft((-1.1, 1.1, -half, half - 2.1), (-w, w, -half - 0.15, half - 2.0), 0.95, 2.3, (150, 96, 40))
    _tail(builder, bed["back"], w * 0.95, (1.1, 1.5), -half - 0.16)
    builder.box((-0.5, 0.5, half - 1.2, half - 1.0), 2.6, 2.76, (255, 150, 20), emit=1.0)
    return builder.build()


def _tail(builder: MeshBuilder, owner: int, half: float, ys: tuple[float, float], z: float) -> None:
    """Red and white (or orange) stripes across the rear."""
    picture = Texture(stripes(160, 32, ((210, 30, 34), (244, 244, 240)), 22, 1.0))
    y0, y1 = ys
    builder.decal(owner, [(-half, y1, z), (half, y1, z), (half, y0, z), (-half, y0, z)], retro=0.8, texture=picture)


def _arrow_truck(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    half, w = 3.3, 1.15
    cab: Color = ((244, 244, 240), (236, 112, 26), (246, 190, 30))[int(paint[2]) % 3]
    _chassis(builder, half, w, cab, night)
    bed = builder.box((-w, w, -half, half - 2.0), 0.95, 1.3, cab)
    _tail(builder, bed["back"], w, (0.97, 1.28), -half - 0.004)
    _arrow_board(builder, -half + 0.5, 1.7, night)
    builder.box((-0.05, 0.05, -half + 0.5, -half + 0.6), 1.3, 1.8, _STEEL)
    builder.box((-0.5, 0.5, half - 1.2, half - 1.0), 2.6, 2.74, (255, 150, 20), emit=1.0)
    return builder.build()


def _arrow_board(builder: MeshBuilder, z: float, low: float, night: bool) -> None:
    board = builder.box((-1.15, 1.15, z - 0.1, z), low, low + 1.25, (40, 40, 42))
    ring = [
        (-1.15, low + 1.25, z - 0.105),
        (1.15, low + 1.25, z - 0.105),
        (1.15, low, z - 0.105),
        (-1.15, low, z - 0.105),
    ]
    builder.decal(board["back"], ring, emit=1.3 if night else 1.0, texture=Texture(_lamp_arrow()))


def _lamp_arrow() -> Pixels:
    picture = blank(112, 208)
    picture[...] = (34, 34, 36, 255)
    points = [(24 + 17 * i, 56) for i in range(10)] + [
        (41 + 17 * i, 56 + s * 15 * (i + 1)) for i in range(3) for s in (-1, 1)
    ]
    for point in points:
        cv2.circle(picture, point, 8, (190, 110, 10, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, point, 6, (255, 214, 90, 255), -1, cv2.LINE_AA)
    return picture


def _arrow_trailer(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    color: Color = (236, 120, 24) if paint[0] > 235 else (240, 190, 40)
    frame = builder.box((-0.7, 0.7, -1.0, 1.4), 0.45, 0.75, color)
    for side, name in ((-1, "left"), (1, "right")):
        wheel(builder, frame[name], side * 0.71, 0.0, 0.34)
        builder.box((side * 0.4 - 0.04, side * 0.4 + 0.04, -0.5, -0.42), 0.75, 1.7, (70, 70, 72))
    _arrow_board(builder, -0.5, 1.6, night)
    return builder.build()


def _marked_van(paint: Color, night: bool) -> Mesh:
    builder = MeshBuilder()
    color: Color = (236, 112, 26) if paint[2] < 25 else (244, 244, 240)
    half, w = 2.7, 1.0
    body = builder.loft((-w, w, -half, half), (-w * 0.93, w * 0.93, -half * 0.99, half * 0.55), 0.35, 2.3, color)
    for x0, x1 in ((-0.8, -0.08), (0.08, 0.8)):
        z = -half - 0.004
        builder.decal(body["back"], [(x0, 2.05, z), (x1, 2.05, z), (x1, 1.5, z), (x0, 1.5, z)], GLASS)
    _tail(builder, body["back"], w * 0.95, (0.55, 1.25), -half - 0.004)
    for side, name in ((-1, "left"), (1, "right")):
        for z in (-half * 0.62, half * 0.62):
            wheel(builder, body[name], side * w * 1.01, z, 0.36)
        x = side * w
        ring = [(x, 1.9, 0.0), (x, 1.9, 1.1), (x, 1.25, 1.7), (x, 1.25, 0.0)]
        builder.decal(body[name], ring, GLASS)
    builder.box((-0.7, 0.7, -0.3, -0.05), 2.3, 2.46, (255, 150, 20), emit=1.0)
    return builder.build()


_MAKERS: Final = (
    _excavator, _arrow_truck, _roller, _loader, _dump_truck, _marked_van,
    _excavator, _arrow_trailer, _arrow_truck, _excavator, _roller, _marked_van,
)  # fmt: skip

BLOCKING: Final = (1, 5, 7, 8)
"""Those that stand at the head of a closed lane."""
WORKING: Final = (0, 2, 3, 4, 6, 9, 10, 11)
"""Those that stand in the work area."""
