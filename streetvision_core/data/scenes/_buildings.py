"""Houses: textured facades on boxes, some with gables, some with shops and awnings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Color, grime
from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.data.scenes._mesh import Mesh, MeshBuilder
from streetvision_core.types import Pixels

BLOCKS: Final = 18
HOUSES: Final = 8
_BAY: Final = 2.9
_FLOOR: Final = 3.2
_CELL: Final = 40
_WALLS: Final[tuple[Color, ...]] = (
    (166, 92, 70), (196, 178, 150), (208, 204, 196), (150, 146, 140), (128, 74, 60), (222, 206, 160),
    (176, 160, 140), (120, 124, 132), (204, 160, 130), (90, 94, 100), (214, 198, 180), (186, 120, 90),
)  # fmt: skip
_AWNINGS: Final[tuple[Color, ...]] = ((188, 34, 40), (232, 110, 30), (30, 90, 60), (40, 60, 120), (236, 200, 60))


@dataclass(frozen=True, slots=True)
class _Style:
    wall: Color
    glass: Color
    frame: Color
    share: tuple[float, float]
    shop: bool
    seed: int


@cache
def block(variant: int, night: bool) -> Mesh:
    """A town building, front towards its own -x side, variants 0..BLOCKS-1."""
    rng = np.random.default_rng([31, variant])
    bays, floors = int(rng.integers(4, 9)), int(rng.integers(2, 7))
    style = _style(rng, variant)
    length, depth, height = bays * _BAY, 10.0, floors * _FLOOR + 0.6
    builder = MeshBuilder()
    walls = builder.box((0.0, depth, -length / 2, length / 2), 0.0, height, style.wall)
    front = _facade(style, bays, floors, night)
    _hang(builder, walls["left"], front, bays, length, height)
    side = _facade(_Style(style.wall, style.glass, style.frame, (0.3, 0.4), False, style.seed + 1), 3, floors, night)
    texture = Texture(side)
    z = -length / 2 - 0.01
    builder.decal(walls["back"], [(0, height, z), (depth, height, z), (depth, 0, z), (0, 0, z)], texture=texture)
    z = length / 2 + 0.01
    builder.decal(walls["front"], [(depth, height, z), (0, height, z), (0, 0, z), (depth, 0, z)], texture=texture)
    if style.shop and variant % 2 == 0:
        _awning(builder, rng, length)
    return builder.build()


def _style(rng: np.random.Generator, variant: int) -> _Style:
    wall = _WALLS[variant % len(_WALLS)]
    glass: Color = (62, 74, 88) if rng.random() < 0.6 else (84, 104, 124)
    frame: Color = (226, 224, 218) if rng.random() < 0.6 else (60, 58, 56)
    share = (float(rng.uniform(0.4, 0.8)), float(rng.uniform(0.45, 0.7)))
    return _Style(wall, glass, frame, share, bool(rng.random() < 0.6), variant * 2)


def _hang(builder: MeshBuilder, owner: int, front: Pixels, bays: int, length: float, height: float) -> None:
    """Hangs the front in pieces of at most three bays, so that one cut by the near plane leaves the others whole."""
    for start in range(0, bays, 3):
        stop = min(start + 3, bays)
        # the front looks towards -x: its left end, seen from outside, is the far +z end
        z0, z1 = length / 2 - start * _BAY, length / 2 - stop * _BAY
        piece = np.ascontiguousarray(front[:, start * _CELL : stop * _CELL])
        ring = [(-0.01, height, z0), (-0.01, height, z1), (-0.01, 0.0, z1), (-0.01, 0.0, z0)]
        builder.decal(owner, ring, texture=Texture(piece))


def _facade(style: _Style, bays: int, floors: int, night: bool) -> Pixels:
    rng = np.random.default_rng([32, style.seed])
    picture = np.full((floors * _CELL, bays * _CELL, 4), 255, np.uint8)
    picture[..., :3] = style.wall
    picture = grime(picture, 0.05, style.seed)
    if sum(style.wall) < 400 and style.seed % 4 == 0:
        picture[::4, :, :3] = (picture[::4, :, :3] * 0.9).astype(np.uint8)
    for floor in range(floors):
        shop = style.shop and floor == floors - 1
        for bay in range(bays):
            _window(picture, rng, style, bay * _CELL, floor * _CELL, shop, night)
        if floor:
            picture[floor * _CELL : floor * _CELL + 2, :, :3] = [int(c * 0.8) for c in style.wall]
    picture[:5, :, :3] = [int(c * 0.65) for c in style.wall]
    return picture


def _window(picture: Pixels, rng: np.random.Generator, style: _Style, x: int, y: int, shop: bool, night: bool) -> None:
    wide, high = (0.9, 0.7) if shop else style.share
    w, h = round(wide * _CELL), round(high * _CELL)
    x0, y0 = x + (_CELL - w) // 2, y + (_CELL - h) // 2 + (4 if shop else 0)
    lit = night and rng.random() < (0.8 if shop else 0.3)
    # night light multiplies a texture by about 0.1, so lit windows are overdriven and clip to warm white
    glass: Color = (255, 236, 180) if lit else style.glass
    cv2.rectangle(picture, (x0 - 2, y0 - 2), (x0 + w + 1, y0 + h + 1), (*style.frame, 255), -1)
    cv2.rectangle(picture, (x0, y0), (x0 + w - 1, y0 + h - 1), (*glass, 255), -1)
    if not lit:
        shine = tuple(min(255.0, c * rng.uniform(1.05, 1.6)) for c in glass)
        corner = np.array([[x0, y0], [x0 + round(w * rng.uniform(0.3, 0.9)), y0], [x0, y0 + round(h * 0.8)]])
        cv2.fillConvexPoly(picture, corner, (*shine, 255))
    if not shop:
        cv2.line(picture, (x0 + w // 2, y0), (x0 + w // 2, y0 + h - 1), (*style.frame, 255), 1)
        sill = tuple(0.75 * c for c in style.wall)
        cv2.rectangle(picture, (x0 - 3, y0 + h + 2), (x0 + w + 2, y0 + h + 3), (*sill, 255), -1)


def _awning(builder: MeshBuilder, rng: np.random.Generator, length: float) -> None:
    color = _AWNINGS[int(rng.integers(len(_AWNINGS)))]
    half = float(rng.uniform(1.5, length / 2 - 1))
    builder.loft((-1.1, -0.02, -half, half), (-0.2, -0.02, -half, half), 2.5, 3.1, color)


@cache
def house(variant: int, night: bool) -> Mesh:
    """A detached house with a gabled roof, front towards its own -x side, variants 0..HOUSES-1."""
    rng = np.random.default_rng([33, variant])
    bays, floors = int(rng.integers(3, 5)), int(rng.integers(1, 3))
    style = _style(rng, variant + 1)
    style = _Style(style.wall, style.glass, style.frame, (0.42, 0.48), False, variant * 2 + 101)
    length, depth, height = bays * _BAY, 8.0, floors * _FLOOR
    builder = MeshBuilder()
    walls = builder.box((0.0, depth, -length / 2, length / 2), 0.0, height, style.wall)
    _hang(builder, walls["left"], _facade(style, bays, floors, night), bays, length, height)
    roof: Color = ((128, 62, 48), (84, 80, 80), (104, 88, 74), (150, 84, 60))[variant % 4]
    builder.loft(
        (-0.5, depth + 0.5, -length / 2 - 0.4, length / 2 + 0.4),
        (depth / 2 - 0.1, depth / 2 + 0.1, -length / 2 + 0.6, length / 2 - 0.6),
        height,
        height + 2.8,
        roof,
    )
    return builder.build()
