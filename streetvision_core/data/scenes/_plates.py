"""Which signs the atlas holds: sprites of the mapillary set and plates lettered with Roadgeek fonts.

Read by `build_atlas` only. A height in metres is the sign's real overall height; the width follows from its aspect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["work", "other"]
Region = Literal["us", "eu", "any"]
Outline = Literal["diamond", "plate", "square"]

ORANGE: Final = (247, 124, 22)
YELLOW: Final = (252, 200, 20)
WHITE: Final = (250, 250, 250)
GREEN: Final = (0, 100, 62)
BLUE: Final = (20, 78, 158)
BROWN: Final = (104, 62, 32)


@dataclass(frozen=True, slots=True)
class SpriteSpec:
    """One SVG of the mapillary set; `repaint` swaps one fill for another (US flagger signs are orange, not yellow)."""

    name: str
    svg: str
    kind: Kind
    region: Region
    height_m: float
    repaint: tuple[tuple[int, int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class PlateSpec:
    """One lettered plate."""

    name: str
    lines: tuple[str, ...]
    outline: Outline
    ground: tuple[int, int, int]
    kind: Kind
    region: Region
    height_m: float
    aspect: float = 1.0
    ink: tuple[int, int, int] = (12, 12, 12)


def _work(name: str, svg: str, region: Region, height_m: float) -> SpriteSpec:
    return SpriteSpec(name, svg, "work", region, height_m)


def _other(name: str, svg: str, region: Region, height_m: float) -> SpriteSpec:
    return SpriteSpec(name, svg, "other", region, height_m)


SPRITES: Final[tuple[SpriteSpec, ...]] = (
    _work("detour-plate", "complementary--detour--g1", "us", 0.75),
    _work("detour-pedestrians", "complementary--bicycles-or-pedestrians-detour--g1", "us", 0.6),
    _work("construction-ahead", "warning--construction-ahead--g1", "us", 1.25),
    _work("detour-ahead", "warning--detour-ahead--g1", "us", 1.25),
    _work("construction", "warning--detour-or-construction-ahead--g1", "us", 1.25),
    _work("ramp-closed", "warning--ramp-closed--g1", "us", 1.25),
    _work("barricade-ahead", "warning--road-closed--g3", "us", 1.25),
    _work("workers-left", "warning--roadworks--g8", "us", 1.25),
    _work("workers-right", "warning--roadworks--g9", "us", 1.25),
    _work("bulldozer", "warning--roadworks--g10", "us", 1.25),
    _work("loader", "warning--roadworks--g11", "us", 1.25),
    _work("works-go-left", "warning--roadworks-go-left-or-straight--g1", "us", 1.25),
    _work("works-go-right", "warning--roadworks-go-right-or-straight--g1", "us", 1.25),
    _work("uneven-ahead", "warning--uneven-roads-ahead--g1", "us", 1.25),
    _work("shift-left", "warning--double-reverse-curve-left--g2", "us", 1.25),
    _work("shift-right", "warning--double-reverse-curve-right--g2", "us", 1.25),
    _work("roadworks-eu", "warning--roadworks--g3", "eu", 0.95),
    _work("roadworks-eu-yellow", "warning--roadworks--g1", "eu", 0.95),
    _work("road-closed", "regulatory--road-closed--g2", "us", 0.75),
    _work("sidewalk-closed", "regulatory--sidewalk-closed--g1", "us", 0.45),
    SpriteSpec("flagger", "warning--flaggers-in-road--g1", "work", "us", 1.25, ((253, 216, 0), ORANGE)),
    _other("stop", "regulatory--stop--g1", "any", 0.8),
    _other("yield", "regulatory--yield--g1", "any", 0.85),
    _other("limit-25", "regulatory--maximum-speed-limit-25--g2", "us", 0.8),
    _other("limit-35", "regulatory--maximum-speed-limit-35--g2", "us", 0.8),
    _other("limit-55", "regulatory--maximum-speed-limit-55--g2", "us", 0.9),
    _other("limit-30-eu", "regulatory--maximum-speed-limit-30--g1", "eu", 0.65),
    _other("limit-50-eu", "regulatory--maximum-speed-limit-50--g1", "eu", 0.65),
    _other("limit-80-eu", "regulatory--maximum-speed-limit-80--g1", "eu", 0.7),
    _other("no-overtaking", "regulatory--no-overtaking--g5", "eu", 0.65),
    _other("no-overtaking-red", "regulatory--no-overtaking--g1", "eu", 0.65),
    _other("no-entry", "regulatory--no-entry--g1", "any", 0.65),
    _other("no-parking", "regulatory--no-parking--g1", "eu", 0.6),
    _other("danger-eu", "warning--other-danger--g1", "eu", 0.9),
    _other("danger-yellow", "warning--other-danger--g3", "us", 1.0),
    _other("children-eu", "warning--children--g1", "eu", 0.9),
    _other("children-yellow", "warning--children--g2", "us", 1.0),
    _other("walkers-eu", "warning--pedestrians-crossing--g5", "eu", 0.9),
    _other("walkers-yellow", "warning--pedestrians-crossing--g4", "us", 1.0),
    _other("crossing-blue", "information--pedestrians-crossing--g1", "eu", 0.65),
    _other("priority-road", "regulatory--priority-road--g1", "eu", 0.8),
    _other("curve-eu", "warning--curve-right--g1", "eu", 0.9),
    _other("curve-yellow", "warning--curve-right--g2", "us", 1.0),
    _other("signals-yellow", "warning--traffic-signals--g3", "us", 1.0),
    _other("signals-eu", "warning--traffic-signals--g1", "eu", 0.9),
    _other("merge-yellow", "warning--traffic-merges-right--g1", "us", 1.0),
    _other("slippery-yellow", "warning--slippery-road-surface--g2", "us", 1.0),
    _other("narrows-yellow", "warning--road-narrows--g2", "us", 1.0),
    _other("bump-eu", "warning--road-bump--g1", "eu", 0.9),
    _other("deer-eu", "warning--wild-animals--g1", "eu", 0.9),
    _other("deer-yellow", "warning--wild-animals--g3", "us", 1.0),
    _other("chevron-red", "complementary--chevron-left--g5", "eu", 0.6),
    _other("chevron-yellow", "complementary--chevron-right--g1", "us", 0.75),
    _other("delineator", "complementary--obstacle-delineator--g2", "us", 0.9),
    _other("keep-right-eu", "regulatory--keep-right--g1", "eu", 0.6),
    _other("one-way", "regulatory--one-way-right--g3", "us", 0.4),
    _other("school", "warning--school-zone--g2", "us", 0.9),
    _other("wrong-way", "regulatory--wrong-way--g1", "us", 0.6),
)


def _diamond(name: str, *lines: str) -> PlateSpec:
    return PlateSpec(name, lines, "diamond", ORANGE, "work", "us", 1.29)


def _plate(name: str, aspect: float, height_m: float, *lines: str) -> PlateSpec:
    return PlateSpec(name, lines, "plate", ORANGE, "work", "us", height_m, aspect)


PLATES: Final[tuple[PlateSpec, ...]] = (
    _diamond("road-work-ahead", "ROAD", "WORK", "AHEAD"),
    _diamond("right-lane-closed-ahead", "RIGHT LANE", "CLOSED", "AHEAD"),
    _diamond("left-lane-closed-ahead", "LEFT LANE", "CLOSED", "AHEAD"),
    _diamond("one-lane-road-ahead", "ONE LANE", "ROAD", "AHEAD"),
    _diamond("utility-work-ahead", "UTILITY", "WORK", "AHEAD"),
    _diamond("be-prepared-to-stop", "BE", "PREPARED", "TO STOP"),
    _diamond("shoulder-work", "SHOULDER", "WORK"),
    _plate("lane-closed", 1.6, 0.75, "LANE", "CLOSED"),
    _plate("end-road-work", 1.8, 0.7, "END", "ROAD WORK"),
    _plate("detour", 1.9, 0.6, "DETOUR"),
    _plate("road-work-next-miles", 1.5, 0.95, "ROAD WORK", "NEXT 5 MILES"),
    PlateSpec("road-closed-local", ("ROAD CLOSED", "TO THRU TRAFFIC"), "plate", WHITE, "work", "us", 0.75, 1.9),
    PlateSpec("umleitung", ("Umleitung",), "plate", YELLOW, "work", "eu", 0.4, 2.4),
    PlateSpec("baustelle", ("BAUSTELLE", "Ausfahrt"), "plate", YELLOW, "work", "eu", 0.6, 1.6),
    PlateSpec("exit-green", ("EXIT 24", "Main St"), "plate", GREEN, "other", "us", 1.8, 1.7, WHITE),
    PlateSpec("guide-green", ("Springfield", "Airport"), "plate", GREEN, "other", "us", 1.6, 2.0, WHITE),
    PlateSpec("guide-blue", ("Zentrum", "Hafen"), "plate", BLUE, "other", "eu", 1.5, 1.9, WHITE),
    PlateSpec("park-brown", ("Lake Park",), "plate", BROWN, "other", "us", 0.6, 2.4, WHITE),
    PlateSpec("town-yellow", ("Neustadt", "Kreis Aue"), "plate", YELLOW, "other", "eu", 0.7, 1.6),
    PlateSpec("road-ends", ("DEAD", "END"), "diamond", (250, 215, 30), "other", "us", 1.0),
    PlateSpec("slow-children", ("SLOW",), "diamond", (250, 215, 30), "other", "us", 1.0),
)
