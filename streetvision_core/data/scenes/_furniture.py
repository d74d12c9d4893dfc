"""Street furniture: lamps, poles, traffic lights, sign panels, guard rails, bins, bollards, hydrants, parasols."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from streetvision_core.data.scenes._atlas import load_signs
from streetvision_core.data.scenes._brush import Color, grime, round_body
from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.data.scenes._mesh import Billboard, Mesh, MeshBuilder

_GREY: Final[Color] = (120, 122, 124)


@cache
def pole(height_m: float, thick_m: float = 0.07) -> Mesh:
    """A plain post."""
    builder = MeshBuilder()
    half = thick_m / 2
    builder.box((-half, half, -half, half), 0.0, height_m, (138, 140, 142))
    return builder.build()


@cache
def sign(name: str, tilt: int = 0) -> Mesh:
    """A sign panel of the atlas, its foot at the origin, looking towards -z; `tilt` leans it in hundredths."""
    entry = load_signs()[name]
    half, high = entry.width_m / 2, entry.height_m
    lean = tilt / 100
    builder = MeshBuilder()
    board = builder.box((-0.02, 0.02, -0.012, 0.0), 0.02, high - 0.02, (150, 152, 154))
    ring = [(-half + lean, high, -0.02), (half + lean, high, -0.02), (half, 0.0, -0.02), (-half, 0.0, -0.02)]
    builder.decal(board["back"], ring, retro=0.9, texture=entry.texture)
    return builder.build()


@cache
def sign_stand() -> Mesh:
    """The folding stand of a temporary sign."""
    builder = MeshBuilder()
    for x in (-0.36, 0.36):
        for z in (-0.3, 0.3):
            foot = (x - 0.03, x + 0.03, z - 0.03, z + 0.03)
            builder.loft(foot, (-0.03, 0.03, -0.02, 0.02), 0.0, 0.5, (78, 78, 80))
    return builder.build()


@cache
def street_lamp(variant: int, night: bool) -> Mesh:
    """A lamp post whose arm reaches towards -x; its lamp hangs at `LAMP`."""
    builder = MeshBuilder()
    tone: Color = (96, 100, 102) if variant % 2 else (150, 152, 154)
    builder.loft((-0.09, 0.09, -0.09, 0.09), (-0.05, 0.05, -0.05, 0.05), 0.0, 8.0, tone)
    builder.box((-1.9, 0.05, -0.04, 0.04), 7.92, 8.02, tone)
    builder.box((-2.2, -1.5, -0.12, 0.12), 7.84, 8.0, (255, 232, 190) if night else tone, emit=1.5 if night else 0)
    return builder.build()


LAMP: Final = (-1.85, 7.9)
"""Where a street lamp shines, metres (x, y) from its foot."""


@cache
def utility_pole() -> Mesh:
    """A wooden pole with cross arms."""
    builder = MeshBuilder()
    builder.loft((-0.15, 0.15, -0.15, 0.15), (-0.1, 0.1, -0.1, 0.1), 0.0, 9.5, (92, 76, 62))
    builder.box((-1.2, 1.2, -0.06, 0.06), 8.8, 8.95, (92, 76, 62))
    builder.box((0.12, 0.55, -0.2, 0.2), 7.2, 8.1, (150, 152, 150))
    return builder.build()


@cache
def traffic_light(variant: int, night: bool) -> Mesh:
    """A signal on a post; variants 0 red, 1 amber, 2 green; 3..5 the same on an arm over the road."""
    builder = MeshBuilder()
    arm = variant >= 3
    high = 5.2 if arm else 2.5
    builder.box((-0.07, 0.07, -0.07, 0.07), 0.0, high + (0.6 if arm else 0.1), (70, 72, 74))
    x = 0.0
    if arm:
        x = -4.0
        builder.box((x, 0.0, -0.05, 0.05), high + 0.5, high + 0.6, (70, 72, 74))
    case: Color = (214, 168, 30) if arm else (30, 32, 32)
    box = builder.box((x - 0.17, x + 0.17, -0.15, 0.1), high - 0.3, high + 0.65, case)
    colors: tuple[Color, ...] = ((255, 40, 30), (255, 180, 20), (40, 240, 120))
    for number, color in enumerate(colors):
        on = number == variant % 3
        middle = high + 0.48 - 0.3 * number
        angles = np.arange(10) * 2 * np.pi / 10
        ring = [(x + 0.11 * float(np.cos(a)), middle + 0.11 * float(np.sin(a)), -0.16) for a in angles]
        builder.decal(box["back"], ring, color if on else (54, 50, 46), emit=1.2 if on else 0.0)
    del night
    return builder.build()


@cache
def guard_rail(red: bool) -> Mesh:
    """Eight metres of steel rail with reflectors, along z."""
    builder = MeshBuilder()
    for z in (-3.9, -1.9, 0.1, 2.1):
        builder.box((-0.06, 0.06, z - 0.06, z + 0.06), 0.0, 0.7, (112, 114, 116))
    rail = builder.box((-0.05, 0.05, -4.0, 4.0), 0.45, 0.76, (178, 182, 186))
    for side, x in (("left", -0.055), ("right", 0.055)):
        builder.decal(rail[side], [(x, 0.63, -4.0), (x, 0.63, 4.0), (x, 0.58, 4.0), (x, 0.58, -4.0)], (120, 124, 128))
        color: Color = (220, 60, 30) if red else (246, 190, 60)
        builder.decal(
            rail[side],
            [(x * 1.1, 0.72, -0.1), (x * 1.1, 0.72, 0.1), (x * 1.1, 0.5, 0.1), (x * 1.1, 0.5, -0.1)],
            color,
            retro=1.0,
        )
    return builder.build()


@cache
def median_wall() -> Mesh:
    """Six metres of permanent concrete wall along z; it is no road work."""
    builder = MeshBuilder()
    builder.loft((-0.3, 0.3, -3.0, 3.0), (-0.12, 0.12, -3.0, 3.0), 0.0, 0.35, (166, 162, 156))
    builder.loft((-0.12, 0.12, -3.0, 3.0), (-0.08, 0.08, -3.0, 3.0), 0.35, 0.85, (176, 172, 166))
    return builder.build()


_TRIFLES: Final[dict[str, tuple[Color, float, float]]] = {
    "bin-green": ((44, 84, 54), 0.6, 1.05),
    "bin-orange": ((232, 104, 24), 0.4, 0.9),
    "bin-grey": ((84, 86, 90), 0.6, 1.05),
    "bollard": ((60, 62, 64), 0.16, 0.95),
    "hydrant": ((196, 36, 30), 0.3, 0.75),
    "hydrant-yellow": ((238, 186, 30), 0.3, 0.75),
    "mailbox": ((34, 66, 140), 0.5, 1.25),
}
TRIFLES: Final = tuple(_TRIFLES)


@cache
def trifle(name: str) -> Billboard:
    """A small round thing of the pavement: bins (one of them orange), bollards, hydrants."""
    color, width, height = _TRIFLES[name]
    columns = max(24, round(128 * width / height))
    dark: Color = (0.6 * color[0], 0.6 * color[1], 0.6 * color[2])
    sides = [(0.0, 0.5), (0.06, 0.8), (0.16, 0.92), (0.17, 0.82), (1.0, 0.78)]
    picture = round_body(128, columns, sides, [(0.15, dark), (0.95, color), (1.0, dark)])
    return Billboard(Texture(grime(picture, 0.05)), width, height)


@cache
def delineator(eu: bool) -> Billboard:
    """A permanent roadside marker post: white with a dark band, no road work."""
    band: Color = (30, 30, 32) if eu else (230, 190, 40)
    picture = round_body(
        128, 24, [(0.0, 0.7), (1.0, 0.9)], [(0.15, (240, 240, 238)), (0.4, band), (1.0, (240, 240, 238))]
    )
    return Billboard(Texture(picture), 0.14, 1.0, retro=0.8)


@cache
def parasol(color: Color) -> Mesh:
    """A cafe's parasol."""
    builder = MeshBuilder()
    builder.box((-0.03, 0.03, -0.03, 0.03), 0.0, 2.1, (110, 90, 70))
    builder.loft((-1.2, 1.2, -1.2, 1.2), (-0.05, 0.05, -0.05, 0.05), 1.95, 2.5, color)
    return builder.build()
