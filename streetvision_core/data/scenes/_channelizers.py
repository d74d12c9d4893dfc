"""What guides traffic round a work zone: cones, tubes, drums and beacons as sprites, boards and walls as meshes."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Color, blank, grime, over, round_body, stripes
from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.data.scenes._mesh import Billboard, Mesh, MeshBuilder
from streetvision_core.types import Pixels

ORANGES: Final[tuple[Color, ...]] = ((255, 92, 22), (248, 78, 30), (255, 116, 34), (232, 72, 38), (255, 104, 62))
WHITE: Final[Color] = (240, 240, 236)
RED: Final[Color] = (206, 28, 34)
BLACK: Final[Color] = (34, 33, 34)

CONES: Final = 10
DRUMS: Final = 5
BEACONS: Final = 6
BARRIERS: Final = 15


@cache
def cone(variant: int) -> Billboard:
    """A traffic cone, variants 0..CONES-1: sizes, oranges, collars, bases; the last two are tubes."""
    orange = ORANGES[variant % len(ORANGES)]
    if variant >= CONES - 2:
        return _tube(orange)
    height_m = (0.75, 0.92, 0.5, 0.71, 0.98, 0.75, 0.46, 0.71)[variant]
    collars = (2, 2, 1, 1, 2, 1, 0, 2)[variant]
    base = BLACK if variant in (0, 1, 4) else orange
    bands: list[tuple[float, Color]] = [(0.3, orange), (1.0, orange)]
    if collars == 1:
        bands = [(0.3, orange), (0.55, WHITE), (1.0, orange)]
    elif collars == 2:
        bands = [(0.2, orange), (0.4, WHITE), (0.52, orange), (0.66, WHITE), (1.0, orange)]
    picture = round_body(256, 176, [(0.0, 0.1), (0.015, 0.13), (0.93, 0.62)], bands)
    picture = over(_slab(256, 176, base), picture)
    return Billboard(Texture(grime(picture, 0.05, variant)), height_m * 176 / 256, height_m, retro=0.7)


def _slab(height: int, width: int, color: Color) -> Pixels:
    picture = blank(height, width)
    dark = tuple(0.72 * c for c in color)
    top = np.array([[0.06, 0.955], [0.16, 0.885], [0.84, 0.885], [0.94, 0.955]]) * (width, height)
    front = np.array([[0.06, 0.955], [0.94, 0.955], [0.94, 0.995], [0.06, 0.995]]) * (width, height)
    cv2.fillConvexPoly(picture, top.astype(np.int32), (*color, 255), cv2.LINE_AA)
    cv2.fillConvexPoly(picture, front.astype(np.int32), (*dark, 255), cv2.LINE_AA)
    return picture


def _tube(orange: Color) -> Billboard:
    bands: list[tuple[float, Color]] = [(0.12, orange), (0.22, WHITE), (0.34, orange), (0.44, WHITE), (0.93, orange)]
    body = round_body(256, 96, [(0.0, 0.22), (0.03, 0.28), (0.93, 0.28)], [*bands, (1.0, BLACK)])
    foot = round_body(256, 96, [(0.93, 0.8), (1.0, 0.95)], [(1.0, BLACK)])
    return Billboard(Texture(over(foot, body)), 1.0 * 96 / 256, 1.0, retro=0.7)


@cache
def drum(variant: int) -> Billboard:
    """A channelizing drum, variants 0..DRUMS-1."""
    orange = ORANGES[variant % len(ORANGES)]
    step = 0.135
    start = 0.11
    bands: list[tuple[float, Color]] = [(start, orange)]
    bands += [(start + step * (number + 1), WHITE if number % 2 == 0 else orange) for number in range(4)]
    bands += [(0.93, orange), (1.0, BLACK)]
    sides = [(0.03, 0.66), (0.06, 0.7), (0.42, 0.76), (0.43, 0.79), (0.92, 0.86)]
    body = round_body(256, 152, sides, bands)
    foot = round_body(256, 152, [(0.92, 0.97), (1.0, 1.0)], [(1.0, BLACK)])
    handle = round_body(256, 152, [(0.0, 0.26), (0.06, 0.3)], [(1.0, orange)])
    picture = over(over(foot, handle), body)
    return Billboard(Texture(grime(picture, 0.07, variant + 3)), 1.02 * 152 / 256, 1.02, retro=0.8)


@cache
def beacon(variant: int) -> Mesh:
    """A guide panel, variants 0..BEACONS-1: German red/white beacons, US orange/white vertical panels; some lit."""
    red = variant < 4
    colors = (RED, WHITE) if red else (ORANGES[0], WHITE)
    picture = stripes(64, 256, colors, 46, 0.8, 1 if variant % 2 == 0 else -1)
    builder = MeshBuilder()
    foot = builder.box((-0.22, 0.22, -0.35, 0.35), 0.0, 0.11, (52, 50, 50))
    del foot
    high = 1.12 if red else 1.0
    board = builder.box((-0.125, 0.125, -0.03, 0.03), 0.14, high, (170, 170, 166))
    for side, z in (("back", -0.031), ("front", 0.031)):
        _sheet(builder, board[side], (-0.125, 0.125), (0.14, high), z, Texture(picture))
    if variant in (0, 3):
        lamp = builder.box((-0.09, 0.09, -0.06, 0.06), high, high + 0.2, (255, 196, 24), emit=0.95)
        del lamp
    return builder.build()


def _sheet(
    builder: MeshBuilder, owner: int, xs: tuple[float, float], ys: tuple[float, float], z: float, texture: Texture
) -> None:
    x0, x1 = xs if z < 0 else (xs[1], xs[0])
    y0, y1 = ys
    builder.decal(owner, [(x0, y1, z), (x1, y1, z), (x1, y0, z), (x0, y0, z)], retro=0.8, texture=texture)


@cache
def barrier(variant: int) -> Mesh:
    """A barrier, variants 0..BARRIERS-1, across its own z axis; see the table for kinds."""
    return _MAKERS[variant % len(_MAKERS)](variant)


@cache
def barrier_pair(variant: int) -> tuple[Mesh, Mesh]:
    """What alternates in a row: white and coloured filled walls do, all others stand with their like."""
    return barrier(variant), barrier({4: 14, 14: 4, 5: 4}.get(variant, variant))


def _type_three(variant: int) -> Mesh:
    colors = (ORANGES[variant % 3], WHITE) if variant != 8 else (RED, WHITE)
    picture = Texture(stripes(256, 32, colors, 26, 1.0, 1 if variant % 2 else -1))
    half = 1.2 if variant % 3 else 0.9
    builder = MeshBuilder()
    for x in (-half * 0.75, half * 0.75):
        builder.box((x - 0.03, x + 0.03, -0.4, 0.4), 0.0, 0.07, (110, 110, 112))
        builder.box((x - 0.03, x + 0.03, 0.0, 0.06), 0.0, 1.5, (205, 205, 205))
    for low in (0.45, 0.85, 1.25):
        board = builder.box((-half, half, -0.04, -0.01), low, low + 0.22, WHITE)
        _sheet(builder, board["back"], (-half, half), (low, low + 0.22), -0.041, picture)
    return builder.build()


def _a_frame(variant: int) -> Mesh:
    picture = Texture(stripes(192, 40, (ORANGES[variant % 4], WHITE), 26, 1.0, -1 if variant % 2 else 1))
    builder = MeshBuilder()
    for x in (-0.5, 0.5):
        builder.loft((x - 0.03, x + 0.03, -0.3, -0.24), (x - 0.03, x + 0.03, -0.03, 0.0), 0.0, 1.0, (215, 110, 50))
        builder.loft((x - 0.03, x + 0.03, 0.24, 0.3), (x - 0.03, x + 0.03, 0.0, 0.03), 0.0, 1.0, (215, 110, 50))
    for low, high in ((0.74, 0.98), (0.35, 0.5)):
        depth = -0.3 + 0.27 * low
        board = builder.box((-0.6, 0.6, depth - 0.04, depth - 0.015), low, high, WHITE)
        _sheet(builder, board["back"], (-0.6, 0.6), (low, high), depth - 0.041, picture)
    return builder.build()


def _plank(variant: int) -> Mesh:
    picture = Texture(stripes(256, 32, (RED, WHITE), 32, 0.0))
    builder = MeshBuilder()
    for x in (-0.9, 0.9):
        builder.box((x - 0.22, x + 0.22, -0.3, 0.3), 0.0, 0.1, (48, 46, 46))
        builder.box((x - 0.03, x + 0.03, -0.03, 0.03), 0.1, 1.1, (180, 180, 178))
    board = builder.box((-1.1, 1.1, -0.05, -0.02), 0.86, 1.1, WHITE)
    _sheet(builder, board["back"], (-1.1, 1.1), (0.86, 1.1), -0.051, picture)
    if variant % 2:
        low = builder.box((-1.1, 1.1, -0.05, -0.02), 0.2, 0.34, WHITE)
        _sheet(builder, low["back"], (-1.1, 1.1), (0.2, 0.34), -0.051, picture)
    for x in (-0.9, 0.0, 0.9):
        builder.box((x - 0.08, x + 0.08, -0.05, 0.05), 1.1, 1.28, (240, 60, 40), emit=0.7)
    return builder.build()


def _filled(variant: int) -> Mesh:
    color = {4: (224, 224, 220), 5: ORANGES[0]}.get(variant, RED)
    builder = MeshBuilder()
    builder.loft((-0.95, 0.95, -0.3, 0.3), (-0.95, 0.95, -0.2, 0.2), 0.0, 0.35, color)
    upper = builder.loft((-0.95, 0.95, -0.2, 0.2), (-0.95, 0.95, -0.1, 0.1), 0.35, 0.92, color)
    dark: Color = (0.78 * color[0], 0.78 * color[1], 0.78 * color[2])
    for x in (-0.6, 0.0, 0.6):
        builder.decal(upper["back"], _patch(x - 0.12, x + 0.12, 0.42, 0.8), dark)
    return builder.build()


def _patch(x0: float, x1: float, y0: float, y1: float) -> list[tuple[float, float, float]]:
    def depth(y: float) -> float:
        return -0.2 + 0.1 * (y - 0.35) / 0.57

    return [(x0, y1, depth(y1)), (x1, y1, depth(y1)), (x1, y0, depth(y0)), (x0, y0, depth(y0))]


def _jersey(variant: int) -> Mesh:
    grey: Color = (172, 168, 160) if variant % 2 else (150, 149, 146)
    builder = MeshBuilder()
    builder.loft((-1.9, 1.9, -0.3, 0.3), (-1.9, 1.9, -0.14, 0.14), 0.0, 0.33, grey)
    upper = builder.loft((-1.9, 1.9, -0.14, 0.14), (-1.9, 1.9, -0.08, 0.08), 0.33, 0.82, grey)
    for x in (-1.2, 1.2):
        builder.decal(
            upper["back"],
            [(x, 0.78, -0.09), (x + 0.16, 0.78, -0.09), (x + 0.16, 0.66, -0.1), (x, 0.66, -0.1)],
            (250, 170, 30),
            retro=1.0,
        )
    return builder.build()


def _fence(variant: int) -> Mesh:
    net = variant % 2 == 0
    picture = _netting(ORANGES[0]) if net else _wires()
    half, high = (1.4, 1.1) if net else (1.6, 1.95)
    builder = MeshBuilder()
    post: Color = (80, 82, 84) if net else (168, 172, 176)
    for x in (-half, half):
        builder.box((x - 0.03, x + 0.03, -0.02, 0.02), 0.0, high + 0.05, post)
        builder.box((x - 0.12, x + 0.12, -0.3, 0.3), 0.0, 0.1, (90, 88, 86))
    board = builder.box((-half, half, -0.012, -0.01), high - 0.02, high, post)
    _sheet(builder, board["back"], (-half, half), (0.12, high), -0.013, Texture(picture))
    return builder.build()


def _plastic(variant: int) -> Mesh:
    """The white or red plastic fence of European streets, with a red and white band."""
    picture = Texture(_slats(variant % 2 == 0))
    builder = MeshBuilder()
    for x in (-0.85, 0.85):
        builder.box((x - 0.04, x + 0.04, -0.25, 0.25), 0.0, 0.08, (226, 96, 30))
    back: Color = (214, 214, 210) if variant % 2 == 0 else (190, 36, 36)
    rail = builder.box((-1.0, 1.0, -0.03, 0.0), 0.93, 1.0, back)
    _sheet(builder, rail["back"], (-1.0, 1.0), (0.06, 1.0), -0.031, picture)
    return builder.build()


def _slats(white: bool) -> Pixels:
    picture = blank(128, 256)
    ground: Color = (232, 232, 228) if white else (196, 40, 40)
    picture[..., :3] = ground
    picture[:44, :, 3] = picture[112:122, :, 3] = 255
    bars = np.arange(256) % 17 < 7
    picture[44:112, bars, 3] = 255
    for start in (0, 90, 180):
        picture[44:, start : start + 8, 3] = 255
        for block in range(3):
            color = RED if (block % 2 == 0) == white else WHITE
            picture[8:36, start + 8 + block * 22 : start + 30 + block * 22, :3] = color
    picture[42:46, :, :3] = [0.8 * c for c in ground]
    return grime(picture, 0.07, int(white))


def _netting(color: Color) -> Pixels:
    picture = blank(160, 256)
    picture[..., :3] = color
    y, x = np.mgrid[0:160, 0:256]
    holes = ((x % 16) - 8) ** 2 + ((y % 12) - 6) ** 2 < 22
    picture[..., 3] = np.where(holes, 40, 255)
    return picture


def _wires() -> Pixels:
    picture = blank(256, 256)
    picture[..., :3] = (176, 182, 186)
    picture[::16, :, 3] = 190
    picture[:, ::8, 3] = 150
    picture[:6, :, 3] = picture[-6:, :, 3] = 255
    return picture


_MAKERS: Final = (
    _type_three, _type_three, _a_frame, _plank, _filled, _filled,
    _jersey, _fence, _type_three, _plank, _fence, _a_frame, _plastic, _plastic,
    _filled,
)  # fmt: skip

BARRIER_KINDS: Final[dict[str, tuple[int, ...]]] = {
    "us": (0, 1, 2, 4, 5, 8, 11),
    "eu": (3, 9, 12, 13, 12, 5),
    "wall": (4, 5, 6, 14),
    "jersey": (6,),
    "fence": (7, 10),
    "fence-eu": (7, 12, 12, 13),
    "closed": (0, 1, 8),
}
