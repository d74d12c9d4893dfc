"""Builds whole worlds from seeds, and hunts for the camera place where asked failure modes hold."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from streetvision_core.data.scenes import _vehicles
from streetvision_core.data.scenes._light import draw_light
from streetvision_core.data.scenes._road import Road, draw_road, draw_section
from streetvision_core.data.scenes._town import fill
from streetvision_core.data.scenes._world import Draft, Item, Lens, World
from streetvision_core.data.scenes._zone import lay_zone
from streetvision_core.types import FailureMode

LIGHT_MODES: Final[frozenset[FailureMode]] = frozenset({"night", "rain", "fog", "glare"})


def stream(seed: int, *path: int) -> np.random.Generator:
    """An independent stream of dice for one purpose."""
    # the words of a list, without the time it takes to tell that they are words
    words = np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, *path], np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def draw_lens(rng: np.random.Generator) -> Lens:
    """Draws how the dashcam sits: behind a car's or a van's windscreen."""
    bonnet = float(rng.uniform(0.04, 0.13)) if rng.random() < 0.35 else 0.0
    return Lens(
        height_m=float(rng.choice([rng.uniform(1.2, 1.5), rng.uniform(1.6, 2.2)], p=[0.8, 0.2])),
        view=float(np.radians(rng.uniform(52, 82))),
        yaw=float(np.radians(rng.normal(0, 2.0))),
        pitch=float(np.radians(rng.normal(1.0, 2.2))),
        roll=float(np.radians(rng.normal(0, 0.7))),
        bonnet=bonnet,
    )


def lay_road(seed: int, seconds: float) -> tuple[Road, float]:
    """The road of a seed, long enough to be driven for `seconds`, and the camera's speed in m/s."""
    rng = stream(seed, 1)
    section = draw_section(rng)
    usual = {"town": 9.0, "suburb": 11.0, "country": 17.0, "highway": 24.0}[section.setting]
    speed = float(rng.uniform(0.75, 1.0)) * usual
    return draw_road(rng, section, speed * seconds), speed


def build_world(
    seed: int,
    seconds: float,
    zone_at: float | None,
    modes: Collection[FailureMode] | None = None,
    attempt: int = 0,
) -> World:
    """A world: the same street for a seed whether or not a zone stands in it.

    Args:
        seed: the scene's seed.
        seconds: how long the camera will drive.
        zone_at: metres ahead of the start where the first channelizer stands; None for a street without road work.
        modes: failure modes wanted; None draws the light ones.
        attempt: number of the try; another one lays another zone and another occluder.
    """
    road, speed = lay_road(seed, seconds)
    section = road.section
    light = draw_light(stream(seed, 2), None if modes is None else LIGHT_MODES & set(modes))
    draft = Draft(road, stream(seed, 3), light.night)
    fill(draft)
    lane = section.lane_middle(draft.pick(section.right_lanes))
    way: tuple[tuple[float, float], ...] = ((0.0, lane),)
    if zone_at is not None:
        draft.rng = stream(seed, 4, attempt)
        way = _enter_zone(draft, zone_at, lane)
        if modes is not None and "occlusion" in modes:
            _occlude(draft, zone_at, way[0][1])
    lanes = np.interp([item.s for item in draft.items], [k[0] for k in way], [k[1] for k in way]).tolist()
    items = tuple(i for i, lane in zip(draft.items, lanes, strict=True) if not _in_the_way(i, lane))
    if draft.lamps:
        light = light.with_lamps(np.array(draft.lamps))
    kind = {"town": 2, "suburb": 1, "country": 0, "highway": 1}[section.setting]
    wear = float(stream(seed, 12).uniform(0.035, 0.1))
    outline = 3 * int(stream(seed, 6).integers(4)) + kind
    return World(
        seed,
        road,
        items,
        tuple(draft.patches),
        tuple(draft.cracks),
        light,
        draw_lens(stream(seed, 5)),
        way,
        speed,
        outline,
        wear,
    )


def _enter_zone(draft: Draft, zone_at: float, lane: float) -> tuple[tuple[float, float], ...]:
    zone = lay_zone(draft, zone_at)
    low, high = zone.closed
    if not low - 1.5 < lane < high + 1.5:
        return ((0.0, lane),)
    past = zone.drive if zone.drive is not None else low - 1.7
    if past < 0:
        draft.items = [i for i in draft.items if not (i.speed < 0 and i.d < 0)]
    return ((zone.s0 - 45, lane), (zone.s0 - 6, past), (zone.s1 + 8, past), (zone.s1 + 45, lane))


def _occlude(draft: Draft, zone_at: float, lane: float) -> None:
    """A high vehicle between the camera and the zone."""
    night = draft.night
    shape = (
        _vehicles.big(draft.pick(_vehicles.BIG), night)
        if draft.chance(0.6)
        else _vehicles.car(draft.choose((6, 13, 2, 20, 5)), night)
    )
    s = draft.uniform(8, max(9.0, min(20.0, zone_at - 3))) + float(shape.high[2])
    draft.add(shape, s, lane + draft.uniform(-0.3, 1.6), 0.0)


def _in_the_way(item: Item, lane: float) -> bool:
    """Whether the camera, which drives at offset `lane` there, would start inside the item."""
    if item.backdrop:
        return False
    half, length = float(item.shape.high[0]), float(item.shape.high[2])
    if length > 3:
        # beside a lorry one sees nothing but the lorry
        return abs(item.d - lane) < half + 1.9 and -length - 4 < item.s < length + 3
    reach = 1.0 if item.label else 1.3
    return abs(item.d - lane) < half + reach and -length - 4 < item.s < length + 2.5


def hunt_place(rng: np.random.Generator, modes: Collection[FailureMode]) -> float:
    """Where a zone may begin, metres ahead, so that the wanted failure modes are likely."""
    if "far" in modes or "small" in modes:
        return float(rng.uniform(38, 62))
    if "occlusion" in modes:
        return float(rng.uniform(14, 36))
    if rng.random() < 0.35:
        # before the zone, where the advance signs stand
        return float(rng.uniform(25, 75))
    return float(rng.uniform(-22, 42))
