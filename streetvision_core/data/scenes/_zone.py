"""Work zones as they are laid out: advance signs, taper, buffer, work area, end.

After the MUTCD's temporary traffic control zone (part 6C) and the German RSA: the same five parts, other devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from streetvision_core.data.scenes import _channelizers, _furniture, _machines, _nature, _people
from streetvision_core.data.scenes._atlas import load_signs
from streetvision_core.data.scenes._mesh import Shape
from streetvision_core.data.scenes._town import add_sign
from streetvision_core.data.scenes._world import Draft, Patch
from streetvision_core.types import DeviceClass

_AHEAD: Final[dict[str, tuple[str, ...]]] = {
    "us": ("road-work-ahead", "construction-ahead", "utility-work-ahead", "workers-right", "workers-left", "bulldozer",
           "loader", "be-prepared-to-stop", "road-work-next-miles", "detour-ahead", "uneven-ahead", "construction"),
    "eu": ("roadworks-eu", "roadworks-eu-yellow", "roadworks-eu", "baustelle", "umleitung"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Zone:
    """Where a zone lies.

    Attributes:
        s0: where the first channelizer stands.
        s1: where the last one stands.
        closed: (d0, d1) offsets that traffic must leave.
        drive: offset of the lane past it, None where nobody has to swerve.
    """

    s0: float
    s1: float
    closed: tuple[float, float]
    drive: float | None = None


def lay_zone(draft: Draft, s0: float) -> Zone:
    """Adds a work zone whose first channelizer stands at s0; draws its kind from what the road allows."""
    section = draft.road.section
    kinds: list[Callable[[Draft, float], Zone]] = [_shoulder, _lane, _lane, _small]
    if section.setting in ("town", "suburb"):
        kinds += [_sidewalk, _small, _closed, _lane]
    if section.setting == "highway":
        kinds += [_walls, _lane, _mobile]
    else:
        kinds += [_flagged, _mobile, _warned]
    zone = kinds[draft.pick(len(kinds))](draft, s0)
    clear_traffic(draft, zone)
    return zone


def clear_traffic(draft: Draft, zone: Zone) -> None:
    """Takes ordinary things out of the closed strip: nobody parks between the cones."""
    low, high = zone.closed

    def inside(s: float, d: float) -> bool:
        return zone.s0 - 14 < s < zone.s1 + 8 and low - 1.2 < d < high + 1.2

    def meets(speed: float, d: float) -> bool:
        return speed != 0 and low - 1.0 < d < high + 1.0

    draft.items = [
        i for i in draft.items
        if i.label is not None or i.backdrop or not (inside(i.s, i.d) or meets(i.speed, i.d)) or _belongs(i.shape)
    ]  # fmt: skip


def _belongs(shape: Shape) -> bool:
    """Heaps, stands and posts are part of the zone though they carry no label."""
    return shape is _furniture.sign_stand() or any(shape is _nature.heap(v) for v in range(3))


def _warn(draft: Draft, s0: float) -> None:
    """The advance warning area: one to three signs upstream, both sides on wide roads."""
    section = draft.road.section
    step = {"town": 16.0, "suburb": 20.0, "country": 32.0, "highway": 40.0}[section.setting]
    for number in range(1 + draft.pick(3)):
        names = _AHEAD[section.region]
        temporary_sign(draft, names[draft.pick(len(names))], s0 - step * (number + 0.6), section.right + 0.7)
        if section.median and draft.chance(0.5):
            temporary_sign(draft, names[draft.pick(len(names))], s0 - step * (number + 0.6), -section.median / 2 + 0.1)


def temporary_sign(draft: Draft, name: str, s: float, d: float) -> None:
    """A work sign on a post or on a folding stand; it does not stand before or behind another sign."""
    draft.items = [
        i for i in draft.items
        if i.label is not None or i.backdrop or i.speed or abs(i.s - s) > 7 or abs(i.d - d) > 0.9
    ]  # fmt: skip
    if load_signs()[name].region == "us" and draft.chance(0.5):
        draft.add(_furniture.sign_stand(), s + 0.05, d)
        draft.add(_furniture.sign(name, draft.pick(5) - 2), s, d, draft.uniform(-0.15, 0.15), 0.45, "sign")
    else:
        add_sign(draft, name, s, d, low=draft.uniform(1.5, 2.2))


def channelizer(draft: Draft) -> tuple[Shape, DeviceClass]:
    """Draws the one kind of channelizer a zone uses."""
    dice = draft.rng.random()
    if draft.road.section.region == "eu":
        if dice < 0.55:
            return _channelizers.beacon(draft.pick(4)), "barrier"
        return _channelizers.cone(draft.pick(_channelizers.CONES)), "cone"
    if dice < 0.45:
        return _channelizers.cone(draft.pick(_channelizers.CONES)), "cone"
    if dice < 0.82:
        return _channelizers.drum(draft.pick(_channelizers.DRUMS)), "drum"
    return _channelizers.beacon(4 + draft.pick(2)), "barrier"


def _line(draft: Draft, kind: tuple[Shape, DeviceClass], start: tuple[float, float], end: tuple[float, float],
          step: float) -> None:  # fmt: skip
    """Channelizers from (s, d) to (s, d)."""
    count = max(2, int(abs(end[0] - start[0]) / step) + 1)
    for share in np.linspace(0, 1, count):
        if draft.chance(0.03):
            continue
        s = start[0] + share * (end[0] - start[0]) + draft.uniform(-0.25, 0.25)
        d = start[1] + share * (end[1] - start[1]) + draft.uniform(-0.1, 0.1)
        draft.add(kind[0], s, d, draft.uniform(-0.2, 0.2), 0.0, kind[1])


def _work_area(draft: Draft, s0: float, s1: float, d0: float, d1: float) -> None:
    """Machines, workers, a dug-up patch, heaps and a barrier or fence across the head."""
    section = draft.road.section
    low, high = min(d0, d1), max(d0, d1)
    middle, room = (low + high) / 2, high - low
    if draft.chance(0.65):
        color = ((92, 76, 58), (52, 50, 50), (128, 120, 108))[draft.pick(3)]
        draft.patches.append(Patch(s0 + 3, s1 - 2, low + 0.4, high - 0.3, color))
    s = s0 + draft.uniform(4, 9)
    for _ in range(draft.pick(3)):
        if room < 2.3 or s > s1 - 4:
            break
        shape = _machines.machine(draft.choose(_machines.WORKING), draft.night)
        draft.add(
            shape, s, middle + draft.uniform(-0.2, 0.2), draft.choose((0, 0, 1, 2)) * np.pi / 2 * 0.3, 0.0, "vehicle"
        )
        s += draft.uniform(9, 16)
    for _ in range(draft.pick(6)):
        at = draft.uniform(s0, s1), draft.uniform(low + 0.3, high - 0.2)
        draft.add(_people.worker(draft.pick(_people.WORKERS)), *at, label="worker")
    if draft.chance(0.35):
        draft.add(_nature.heap(draft.pick(3)), draft.uniform(s0 + 2, s1), middle)
    if draft.chance(0.55):
        _head_barrier(draft, s0, low, high)
        if section.region == "us" and draft.chance(0.5):
            name = ("lane-closed", "detour", "road-closed", "road-closed-local", "works-go-left")[draft.pick(5)]
            temporary_sign(draft, name, s0 - 0.6, middle)


def _head_barrier(draft: Draft, s: float, low: float, high: float) -> None:
    kinds = _channelizers.BARRIER_KINDS[draft.road.section.region]
    shape = _channelizers.barrier(draft.choose(kinds))
    width = float(shape.high[0] - shape.low[0])
    for d in np.arange(low + width / 2, high - width / 2 + 0.5, width + 0.25):
        draft.add(shape, s, float(d), draft.uniform(-0.08, 0.08), 0.0, "barrier")


def _lane(draft: Draft, s0: float) -> Zone:
    """Closes the rightmost lane (or the leftmost of several)."""
    section = draft.road.section
    left = section.right_lanes > 1 and draft.chance(0.35)
    outer = (0.3 if section.median else 0.25) if left else section.right - 0.3
    inner = section.lane - 0.2 if left else section.lanes_end - section.lane + 0.2
    step = {"town": 3.2, "suburb": 4.0, "country": 5.5, "highway": 7.0}[section.setting]
    taper, work = step * draft.uniform(4, 8), draft.uniform(18, 60)
    kind = channelizer(draft)
    _warn(draft, s0)
    if section.region == "us" and draft.chance(0.6):
        name = "left-lane-closed-ahead" if left else "right-lane-closed-ahead"
        temporary_sign(draft, name, s0 - 12, section.right + 0.7)
    _line(draft, kind, (s0, outer), (s0 + taper, inner), step)
    _line(draft, kind, (s0 + taper + step, inner), (s0 + taper + 10 + work, inner), step * 1.3)
    middle = (outer + inner) / 2
    if draft.chance(0.55):
        shape = _machines.machine(draft.choose(_machines.BLOCKING), draft.night)
        draft.add(shape, s0 + taper + 4, middle, 0.0, 0.0, "vehicle")
    _work_area(draft, s0 + taper + 10, s0 + taper + 10 + work, inner, outer)
    _finish(draft, s0 + taper + work + 22)
    drive = _lane_past(draft, left)
    return Zone(s0, s0 + taper + 10 + work, (min(inner, outer), max(inner, outer)), drive)


def _lane_past(draft: Draft, left: bool) -> float:
    section = draft.road.section
    if left:
        return section.lane_middle(1)
    return section.lane_middle(section.right_lanes - 2) if section.right_lanes > 1 else -section.lane_middle(0)


def _finish(draft: Draft, s: float) -> None:
    if draft.road.section.region == "us" and draft.chance(0.5):
        temporary_sign(draft, "end-road-work", s, draft.road.section.right + 0.7)


def _shoulder(draft: Draft, s0: float) -> Zone:
    """Work beside the driving lanes."""
    section = draft.road.section
    edge, outer = section.lanes_end + 0.25, section.right + (2.2 if not section.walk else 0.6)
    length, kind = draft.uniform(15, 45), channelizer(draft)
    _warn(draft, s0)
    if section.region == "us" and draft.chance(0.4):
        temporary_sign(draft, "shoulder-work", s0 - 10, section.right + 0.7)
    _line(draft, kind, (s0, outer), (s0 + 8, edge), 2.6)
    _line(draft, kind, (s0 + 11, edge), (s0 + 11 + length, edge), 4.5)
    _work_area(draft, s0 + 11, s0 + 11 + length, edge + 0.3, max(outer, edge + 2.6))
    _finish(draft, s0 + length + 20)
    return Zone(s0, s0 + 11 + length, (edge, outer))


def _sidewalk(draft: Draft, s0: float) -> Zone:
    """A fenced pavement."""
    section = draft.road.section
    d, outer = section.right - 0.2, section.right + max(section.walk, 2.0)
    fence = "fence-eu" if section.region == "eu" else "fence"
    kinds = _channelizers.BARRIER_KINDS[fence if draft.chance(0.6) else "wall"]
    pair = _channelizers.barrier_pair(draft.choose(kinds))
    width = float(pair[0].high[0] - pair[0].low[0])
    count = 3 + draft.pick(7)
    for number in range(count):
        draft.add(pair[number % 2], s0 + 1 + (number + 0.5) * width, d, -np.pi / 2, 0.0, "barrier")
    draft.add(
        _channelizers.barrier(draft.choose(_channelizers.BARRIER_KINDS[section.region])),
        s0,
        (d + outer) / 2,
        0.0,
        0.0,
        "barrier",
    )
    name = "sidewalk-closed" if section.region == "us" else "roadworks-eu"
    temporary_sign(draft, name, s0 - draft.uniform(1, 8), section.right + 0.7)
    _line(draft, channelizer(draft), (s0 - 3, d - 0.3), (s0 + count * width, d - 0.5), 6.0)
    _work_area(draft, s0 + 2, s0 + count * width, d + 0.4, outer)
    return Zone(s0, s0 + count * width, (d - 0.6, outer))


def _small(draft: Draft, s0: float) -> Zone:
    """A hole in the road with a handful of cones and perhaps a worker."""
    section = draft.road.section
    d = draft.uniform(section.lanes_end - 1.2, section.right - 0.3)
    draft.patches.append(Patch(s0 + 1, s0 + draft.uniform(2.5, 5), d - 0.7, d + 0.7, (56, 48, 42)))
    kind = channelizer(draft)
    for number in range(2 + draft.pick(6)):
        angle = number * 1.13 + draft.uniform(-0.2, 0.2)
        draft.add(kind[0], s0 + 2.5 + 2.8 * np.cos(angle), d + 1.15 * np.sin(angle), 0.0, 0.0, kind[1])
    for _ in range(draft.pick(3)):
        at = s0 + draft.uniform(0.5, 5), d + draft.uniform(-0.6, 1.5)
        draft.add(_people.worker(draft.pick(_people.WORKERS)), *at, label="worker")
    if draft.chance(0.4):
        shape = _machines.machine(draft.choose((5, 1, 11)), draft.night)
        draft.add(shape, s0 + 11, d, 0.0, 0.0, "vehicle")
    if draft.chance(0.45):
        _warn(draft, s0)
    return Zone(s0, s0 + 14, (d - 1.3, d + 1.3))


def _closed(draft: Draft, s0: float) -> Zone:
    """Barricades right across our side, with ROAD CLOSED and a detour."""
    section = draft.road.section
    _warn(draft, s0)
    kinds = _channelizers.BARRIER_KINDS["closed" if section.region == "us" else "eu"]
    shape = _channelizers.barrier(draft.choose(kinds))
    width = float(shape.high[0] - shape.low[0]) + 0.3
    for d in np.arange(0.3 + width / 2, section.right, width):
        draft.add(shape, s0 + draft.uniform(-0.4, 0.4), float(d), draft.uniform(-0.1, 0.1), 0.0, "barrier")
    if section.region == "us":
        for name, d in (("road-closed", 0.35), ("detour-plate", 0.75)):
            draft.add(_furniture.sign(name), s0 - 0.2, section.right * d, 0.0, 1.5, "sign", shadow=False)
    _work_area(draft, s0 + 6, s0 + 40, 0.5, section.right - 0.3)
    return Zone(s0, s0 + 45, (0.2, section.right))


def _flagged(draft: Draft, s0: float) -> Zone:
    """One lane shut, a flagger before it."""
    section = draft.road.section
    d = section.lanes_end - 0.3
    if section.region == "us":
        temporary_sign(draft, "flagger", s0 - draft.uniform(15, 30), section.right + 0.7)
        temporary_sign(draft, "one-lane-road-ahead", s0 - draft.uniform(35, 55), section.right + 0.7)
    draft.add(_people.flagger(draft.pick(3)), s0 - 2, d + 0.6, label="worker")
    zone = _lane(draft, s0)
    return Zone(s0 - 3, zone.s1, zone.closed, zone.drive)


def _mobile(draft: Draft, s0: float) -> Zone:
    """A truck with an arrow board and a short tail of cones."""
    section = draft.road.section
    d = section.lane_middle(section.right_lanes - 1) + 0.6
    draft.add(_machines.machine(draft.choose(_machines.BLOCKING), draft.night), s0 + 12, d, 0.0, 0.0, "vehicle")
    _line(draft, channelizer(draft), (s0, section.lanes_end), (s0 + 8, d - 1.1), 3.0)
    for _ in range(draft.pick(3)):
        at = s0 + draft.uniform(17, 24), d + draft.uniform(-0.8, 0.8)
        draft.add(_people.worker(draft.pick(_people.WORKERS)), *at, label="worker")
    return Zone(s0, s0 + 26, (d - 1.4, d + 1.4), _lane_past(draft, False))


def _warned(draft: Draft, s0: float) -> Zone:
    """Signs long before the work: nothing else to see yet."""
    section = draft.road.section
    names = _AHEAD[section.region]
    for number in range(1 + draft.pick(2)):
        temporary_sign(draft, names[draft.pick(len(names))], s0 + 14.0 * number, section.right + 0.7)
    return Zone(s0, s0 + 15, (section.right + 0.3, section.right + 1.0))


def _walls(draft: Draft, s0: float) -> Zone:
    """A long run of walls beside the lanes, as at a big site."""
    section = draft.road.section
    d = section.lanes_end + 0.5
    pair = _channelizers.barrier_pair(draft.choose(_channelizers.BARRIER_KINDS["wall"]))
    width = float(pair[0].high[0] - pair[0].low[0])
    count = int(draft.uniform(40, 90) / width)
    for number in range(count):
        slip = max(0.0, 1.5 - number * 0.4)
        draft.add(pair[number % 2], s0 + number * (width + 0.08), d + slip, -np.pi / 2 + 0.0, 0.0, "barrier")
    _warn(draft, s0)
    _line(draft, channelizer(draft), (s0 - 10, section.right), (s0, d), 3.0)
    _work_area(draft, s0 + 15, s0 + count * width, d + 0.8, d + 4.5)
    return Zone(s0 - 10, s0 + count * width, (d, d + 4.5))
