"""Fills the roadside and the lanes with everything that is not road work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from streetvision_core.data.scenes import _buildings, _furniture, _nature, _people, _vehicles
from streetvision_core.data.scenes._atlas import load_signs, sign_names
from streetvision_core.data.scenes._road import WHITE
from streetvision_core.data.scenes._world import Crack, Draft, Patch

AHEAD: Final = 190.0
"""Metres beyond the end of the drive that are filled."""


def fill(draft: Draft) -> None:
    """Adds the surroundings of the road's setting, then what every setting has."""
    _SETTINGS[draft.road.section.setting](draft)
    _signs(draft)
    _repairs(draft)
    _cracks(draft)
    _traffic(draft)


def _end(draft: Draft) -> float:
    return draft.road.length + AHEAD


def _town(draft: Draft) -> None:
    section = draft.road.section
    for side in (1, -1):
        edge = section.right + section.walk if side > 0 else section.left - section.walk
        _row_of_blocks(draft, side, edge)
        _lamps(draft, side, edge - side * (section.walk - 0.5))
        _street_trees(draft, side, edge - side * (section.walk - 0.9))
        _pavement(draft, side, edge)
        _parked(draft, side)
    _crossing(draft)


def _row_of_blocks(draft: Draft, side: int, edge: float) -> None:
    s = draft.uniform(-30, -10)
    setback = draft.uniform(0, 2)
    while s < _end(draft):
        shape = _buildings.block(draft.pick(_buildings.BLOCKS), draft.night)
        length = float(shape.high[2] - shape.low[2])
        # a block looks towards its own -x; on the left side it is turned round
        draft.add(shape, s + length / 2, edge + side * setback, 0.0 if side > 0 else np.pi, backdrop=True)
        s += length + (draft.uniform(4, 14) if draft.chance(0.25) else 0.05)


def _lamps(draft: Draft, side: int, d: float) -> None:
    variant = draft.pick(2)
    for s in np.arange(draft.uniform(-20, 10), _end(draft), draft.uniform(26, 38)):
        draft.add(_furniture.street_lamp(variant, draft.night), float(s), d, 0.0 if side > 0 else np.pi)
        x, y = _furniture.LAMP
        draft.lamps.append(draft.road.place(float(s), d + side * x, y))


def _street_trees(draft: Draft, side: int, d: float) -> None:
    if draft.chance(0.45):
        return
    kind = draft.pick(10)
    for s in np.arange(draft.uniform(-20, 5), _end(draft), draft.uniform(9, 22)):
        if draft.chance(0.8):
            draft.add(_nature.tree(kind), float(s), d + side * draft.uniform(-0.2, 0.4))


def _pavement(draft: Draft, side: int, edge: float) -> None:
    section = draft.road.section
    count = int(draft.rng.poisson(9 * (1 if section.setting == "town" else 0.4)))
    for _ in range(count):
        s, d = draft.uniform(4, _end(draft)), edge - side * draft.uniform(0.3, max(0.5, section.walk - 0.6))
        speed = draft.uniform(-1.3, 1.3)
        draft.add(_people.walker(draft.pick(_people.WALKERS)), s, d, speed=speed)
    for _ in range(int(draft.rng.poisson(6))):
        name = _furniture.TRIFLES[draft.pick(len(_furniture.TRIFLES))]
        draft.add(_furniture.trifle(name), draft.uniform(4, _end(draft)), edge - side * (section.walk - 0.6))
    if draft.chance(0.25):
        s = draft.uniform(5, 60)
        for number in range(draft.pick(8) + 3):
            draft.add(_furniture.trifle("bollard"), s + 1.8 * number, edge - side * (section.walk - 0.35))
    if draft.chance(0.15) and section.walk > 2.6:
        color = ((232, 96, 30), (236, 232, 220), (190, 40, 40))[draft.pick(3)]
        draft.add(_furniture.parasol(color), draft.uniform(10, 60), edge - side * 1.3)


def _parked(draft: Draft, side: int) -> None:
    section = draft.road.section
    if not section.parking:
        return
    d = section.lanes_end + section.parking / 2 if side > 0 else section.left + section.shoulder + section.parking / 2
    s = draft.uniform(-15, 0)
    while s < _end(draft):
        if draft.chance(0.62):
            yaw = (0.0 if side > 0 else np.pi) + draft.uniform(-0.03, 0.03)
            # parked cars have no lamps on, so the day mesh serves by night too
            shape = _vehicles.big(draft.pick(_vehicles.BIG), False) if draft.chance(0.04) else None
            car = shape or _vehicles.car(draft.pick(_vehicles.CARS), False)
            half = float(car.high[2])
            draft.add(car, s + half, d + side * 0.05, yaw)
            s += 2 * half
        else:
            s += 4.6
        s += draft.uniform(0.8, 1.8)


def _crossing(draft: Draft) -> None:
    """A side street with crossing stripes and signals."""
    if draft.chance(0.45):
        return
    section = draft.road.section
    s = draft.uniform(14, _end(draft) - 60)
    draft.items = [i for i in draft.items if not (s - 1 < i.s < s + 11 and not section.left < i.d < section.right)]
    draft.patches.append(Patch(s, s + 10, -90, section.left, section.asphalt))
    draft.patches.append(Patch(s, s + 10, section.right, 90, section.asphalt))
    for d in np.arange(section.left + 0.5, section.right - 0.4, 1.0):
        draft.patches.append(Patch(s - 5.5, s - 2.5, float(d), float(d) + 0.5, WHITE))
    draft.patches.append(Patch(s - 7.2, s - 6.8, 0.2, section.lanes_end, WHITE))
    state = draft.pick(3)
    draft.add(_furniture.traffic_light(state + 3 * draft.pick(2), draft.night), s - 1.5, section.right + 0.7)
    draft.add(_furniture.traffic_light(state, draft.night), s - 1.5, section.left - 0.7)


def _suburb(draft: Draft) -> None:
    section = draft.road.section
    for side in (1, -1):
        edge = section.right + section.walk if side > 0 else section.left - section.walk
        s = draft.uniform(-25, 0)
        while s < _end(draft):
            shape = _buildings.house(draft.pick(_buildings.HOUSES), draft.night)
            length = float(shape.high[2] - shape.low[2])
            yaw = (0.0 if side > 0 else np.pi) + draft.uniform(-0.1, 0.1)
            if draft.chance(0.8):
                draft.add(shape, s + length / 2, edge + side * draft.uniform(5, 9), yaw, backdrop=True)
            s += length + draft.uniform(3, 10)
        _scatter(draft, edge + side * 1.0, edge + side * 5, 0.10)
        _pavement(draft, side, edge)
        _parked(draft, side)
        if draft.chance(0.5):
            _lamps(draft, side, edge - side * 0.4)
    if section.region == "us":
        _poles(draft)
    _crossing(draft)


def _scatter(draft: Draft, near: float, far: float, per_meter: float) -> None:
    """Trees and bushes at random between two offsets."""
    kinds = [draft.pick(_nature.TREES) for _ in range(3)]
    length = _end(draft) + 20
    for _ in range(int(draft.rng.poisson(per_meter * length))):
        s, d = draft.uniform(-20, _end(draft)), draft.uniform(near, far)
        if draft.chance(0.6):
            draft.add(_nature.tree(draft.choose(kinds)), s, d)
        else:
            draft.add(_nature.bush(draft.pick(_nature.BUSHES)), s, d)


def _poles(draft: Draft) -> None:
    d = draft.road.section.right + draft.road.section.walk + 0.6
    for s in np.arange(draft.uniform(0, 20), _end(draft), 38.0):
        draft.add(_furniture.utility_pole(), float(s), d)


def _country(draft: Draft) -> None:
    section = draft.road.section
    for side in (1, -1):
        edge = section.right if side > 0 else section.left
        density = draft.uniform(0.02, 0.35)
        _scatter(draft, edge + side * 3.5, edge + side * 14, density)
        _scatter(draft, edge + side * 14, edge + side * 40, density * 0.7)
        if draft.chance(0.3):
            _rails(draft, edge + side * 0.9)
        elif draft.chance(0.6):
            post = _furniture.delineator(section.region == "eu")
            for s in np.arange(draft.uniform(0, 20), _end(draft), 25.0):
                draft.add(post, float(s), edge + side * 0.9)
    if draft.chance(0.5):
        _poles(draft)


def _rails(draft: Draft, d: float) -> None:
    shape = _furniture.guard_rail(draft.chance(0.4))
    for s in np.arange(-10.0, _end(draft), 8.0):
        draft.add(shape, float(s), d, backdrop=True)


def _highway(draft: Draft) -> None:
    section = draft.road.section
    if section.median < 3 or draft.chance(0.5):
        for s in np.arange(-12.0, _end(draft), 6.0):
            draft.add(_furniture.median_wall(), float(s), -section.median / 2, backdrop=True)
    else:
        _rails(draft, -section.median / 2)
    for side in (1, -1):
        edge = section.right if side > 0 else section.left
        if draft.chance(0.6):
            _rails(draft, edge + side * 0.6)
        _scatter(draft, edge + side * 6, edge + side * 30, draft.uniform(0.03, 0.25))
    if draft.chance(0.4):
        _lamps(draft, 1, section.right + 1.2)


def _signs(draft: Draft) -> None:
    """Ordinary signs: the ones a detector must leave alone."""
    section = draft.road.section
    names = sign_names("other", section.region)
    for s in np.arange(draft.uniform(8, 40), _end(draft), draft.uniform(28, 70)):
        add_sign(draft, names[draft.pick(len(names))], float(s), section.right + 0.8, low=draft.uniform(1.7, 2.4))
    if draft.chance(0.5):
        s = draft.uniform(10, _end(draft))
        add_sign(draft, names[draft.pick(len(names))], s, section.left - 0.8, low=2.0)


def add_sign(draft: Draft, name: str, s: float, d: float, low: float) -> None:
    """A sign on its post; work signs get their label."""
    entry = load_signs()[name]
    draft.add(_furniture.pole(round(low + entry.height_m - 0.1, 1), 0.06), s + 0.06, d, shadow=False)
    draft.add(
        _furniture.sign(name),
        s,
        d,
        draft.uniform(-0.12, 0.12),
        low,
        "sign" if entry.kind == "work" else None,
        shadow=False,
    )


def _repairs(draft: Draft) -> None:
    """Dark and light repairs of the asphalt, and manholes: old work, not road work."""
    section = draft.road.section
    for _ in range(int(draft.rng.poisson(3))):
        s, d = draft.uniform(5, _end(draft) - 100), draft.uniform(section.left, section.right - 1.5)
        tone = draft.uniform(0.72, 1.12)
        color = (section.asphalt[0] * tone, section.asphalt[1] * tone, section.asphalt[2] * tone)
        patch = Patch(s, s + draft.uniform(1.5, 12), d, min(section.right, d + draft.uniform(0.6, 2.5)), color)
        draft.patches.insert(0, patch)


def _cracks(draft: Draft) -> None:
    """Tar snakes along and across the lanes, and the joints of the pavement."""
    section = draft.road.section
    tar = (0.62 * section.asphalt[0], 0.62 * section.asphalt[1], 0.64 * section.asphalt[2])
    for _ in range(int(draft.rng.poisson(draft.uniform(0, 0.12) * (draft.road.length + 50)))):
        s, d = draft.uniform(2, draft.road.length + 50), draft.uniform(section.left + 0.5, section.right - 0.5)
        along = draft.chance(0.5)
        steps = np.arange(8) * (1.1 if along else 0.12)
        drift = np.cumsum(draft.rng.normal(0, 0.09 if along else 0.02, 8)) + (0 if along else np.arange(8) * 0.45)
        points = tuple((s + float(a), float(np.clip(d + b, section.left, section.right)))
                       for a, b in zip(steps, drift, strict=True))  # fmt: skip
        draft.cracks.append(Crack(points, draft.uniform(0.02, 0.06), tar))
    if section.walk:
        for s in np.arange(1.0, draft.road.length + 40, 2.0):
            for a, b in (
                (section.right + 0.2, section.right + section.walk),
                (section.left - section.walk, section.left - 0.2),
            ):
                draft.cracks.append(Crack(((float(s), a), (float(s), b)), 0.02, (128, 124, 118)))


def _traffic(draft: Draft) -> None:
    section = draft.road.section
    speed = {"town": 9.0, "suburb": 11.0, "country": 19.0, "highway": 26.0}[section.setting]
    density = draft.uniform(0.004, 0.022)
    for number in range(section.right_lanes):
        _lane_of_cars(draft, section.lane_middle(number), speed, density, 0.0)
    for number in range(section.left_lanes):
        d = -section.median - section.lane_middle(number)
        _lane_of_cars(draft, d, -speed, density, float(np.pi))


def _lane_of_cars(draft: Draft, d: float, speed: float, density: float, yaw: float) -> None:
    reach = 2.2 * draft.road.length if speed < 0 else draft.road.length
    s = draft.uniform(7, 40)
    while s < reach + AHEAD:
        large = draft.chance(0.14)
        shape = (
            _vehicles.big(draft.pick(_vehicles.BIG), draft.night)
            if large
            else _vehicles.car(draft.pick(_vehicles.CARS), draft.night)
        )
        draft.add(shape, s, d + draft.uniform(-0.25, 0.25), yaw, speed=speed)
        s += 7.0 + float(draft.rng.exponential(1 / density))


_SETTINGS: Final[dict[str, Callable[[Draft], None]]] = {
    "town": _town,
    "suburb": _suburb,
    "country": _country,
    "highway": _highway,
}
