"""Looks at a world from its camera: paints everything in order and measures every device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes._brush import Plane
from streetvision_core.data.scenes._camera import NEAR, Array, Camera
from streetvision_core.data.scenes._canvas import BONNET, FIRST_DEVICE, NOTHING, SCENERY, Canvas
from streetvision_core.data.scenes._ground import paint_ground
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._mesh import Billboard
from streetvision_core.data.scenes._paint import Painter
from streetvision_core.data.scenes._relight import cast_shadows, light_ground
from streetvision_core.data.scenes._road import Road
from streetvision_core.data.scenes._sky import paint_horizon, paint_sky
from streetvision_core.data.scenes._world import Item, World
from streetvision_core.types import Box, Pixels

SUPER: Final = 2
"""Canvas pixels per picture pixel, each way."""

MIN_VISIBLE: Final = 0.4
"""Smallest visible share of a labelled device."""
MIN_CLEAR: Final = 0.12
"""A device behind more haze than this is not labelled: nobody can see it."""
MIN_BRIGHT: Final = 17.0
"""By night, a device darker than this on average, of 255, is not labelled for the same reason."""

_FARTHEST: Final = 230.0
_SPECK: Final = 5.0
"""Canvas pixels below which scenery is left out."""


def min_height(picture_height: float) -> float:
    """Smallest height of a labelled box, pixels: 6 at 270 rows, growing with the root of the rows.

    In a larger picture of the same scene smaller devices can be made out, but not quite in proportion.
    """
    return 6.0 * float(np.sqrt(picture_height / 270))


@dataclass(frozen=True, slots=True)
class Sighting:
    """One device in one picture.

    Attributes:
        box: what of it is seen; None when it is not worth a label.
        meters: from the camera.
        visible: share of it that is seen.
        full_height: pixels it would be high with nothing before it.
    """

    box: Box | None
    meters: float
    visible: float
    full_height: float


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A painted picture: pixels before the sensor, the ground's mask, the camera and the devices."""

    pixels: Pixels
    ground: Pixels
    camera: Camera
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    item: Item
    position: Array
    heading: float
    key: float


def camera_at(world: World, width: int, height: int, s: float) -> Camera:
    """The world's camera when it has come to s, for a canvas of `SUPER` times the picture."""
    lens = world.lens
    focal = width * SUPER / 2 / np.tan(lens.view / 2)
    position = world.road.place(s, world.offset(s), lens.height_m)
    drift = (world.offset(s + 1) - world.offset(s - 1)) / 2
    angles = (world.road.heading(s) + lens.yaw + np.arctan(drift) * 0.8, lens.pitch, lens.roll)
    return Camera.looking(width * SUPER, height * SUPER, focal, position, angles)


def look(world: World, width: int, height: int, seconds: float = 0.0) -> Look:
    """Paints the world as the camera sees it after `seconds`."""
    s = world.speed * seconds
    camera = camera_at(world, width, height, s)
    placed = place_items(world.items, world.road, camera, s, seconds)
    shading = [(p.item, p.position, p.heading) for p in placed if p.item.shadow and p.key < 70]
    shadow = cast_shadows(camera, world.light, shading)
    canvas = Canvas(_backdrop(world, camera.smaller(SUPER), s, shadow))
    painted = paint_items(canvas, camera, world.light, placed, mark=world.light.wet > 0)
    _bonnet(canvas, camera, world)
    sightings = tuple(measure(canvas, camera, world.light, device) for device in painted)
    small = np.asarray(cv2.resize(canvas.rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    ground = np.ascontiguousarray(canvas.ids[::SUPER, ::SUPER] == 0).astype(np.uint8)
    return Look(small, ground, camera, sightings)


def _backdrop(world: World, camera: Camera, s: float, shadow: Plane) -> Pixels:
    """Sky and ground, at the canvas's size; painted at the picture's own, where brushes with soft edges will do."""
    canvas = Canvas(np.zeros((camera.height, camera.width, 3), np.uint8))
    paint_sky(canvas, camera, world.light, world.seed)
    paint_horizon(canvas, camera, world.light, world.skyline, world.road.section.verge)
    paint_ground(canvas, camera, world, s)
    light_ground(canvas, camera, world.light, shadow, world.wear)
    return np.asarray(cv2.resize(canvas.rgb, None, fx=SUPER, fy=SUPER, interpolation=cv2.INTER_NEAREST), np.uint8)


def place_items(
    items: Sequence[Item], road: Road, camera: Camera, s: float = 0.0, seconds: float = 0.0
) -> list[Placed]:
    """The items in view, farthest first."""
    at = np.array([item.s + item.speed * seconds for item in items])
    positions = road.place(at, np.array([item.d for item in items]), np.array([item.h for item in items]))
    headings = road.headings(at)
    # in order of ground depth: a tilted camera must not bring a post before its own sign
    seen = camera.to_camera(positions * (1.0, 0.0, 1.0) + (0.0, float(camera.position[1]), 0.0))
    near = np.flatnonzero((at - s > -30) & (at - s < _FARTHEST) & (seen[:, 2] > -20))
    some = [items[n] for n in near.tolist()]
    headings = headings[near] + [item.yaw for item in some]
    keys = _depths(some, headings, camera, seen[near])
    entries = [
        Placed(some[k], positions[near[k]], float(headings[k]), float(keys[k])) for k in np.flatnonzero(keys > -np.inf)
    ]
    return sorted(entries, key=lambda p: -p.key)


def _depths(items: Sequence[Item], headings: Array, camera: Camera, seen: Array) -> Array:
    """The depths [N] items are sorted by, in metres; -inf for those out of sight or too small to matter."""
    sizes = np.array([item.shape.high - item.shape.low for item in items]).reshape(-1, 3)
    backdrop = np.array([item.backdrop for item in items], bool)
    scenery = np.array([item.label is None for item in items], bool)
    radius = np.hypot(sizes[:, 0], sizes[:, 2]) * np.where(backdrop, 1.0, 0.6) + 0.3
    depth = seen[:, 2]
    out = (depth < -radius) | (abs(seen[:, 0]) > (depth + radius) * camera.width / 2 / camera.focal + radius * 1.5)
    out |= scenery & (sizes[:, :2].max(axis=1, initial=0.0) * camera.focal < _SPECK * depth)
    along = abs(np.cos(headings) * camera.rotation[2][2] + np.sin(headings) * camera.rotation[2][0])
    return np.where(out, -np.inf, depth + backdrop * sizes[:, 2] / 2 * along)


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A device just painted: its region of the canvas, its pixels there, and the share of it inside the picture."""

    entry: Placed
    ident: int
    region: tuple[slice, slice]
    count: int
    inside: float
    full_height: float


def paint_items(canvas: Canvas, camera: Camera, light: Light, placed: list[Placed], mark: bool) -> list[Painted]:
    """Paints back to front; returns the devices with the pixels each got before others covered it.

    Args:
        canvas: the background.
        camera: the camera.
        light: the light.
        placed: what to paint, farthest first.
        mark: whether scenery is to be numbered everywhere and not only where it may cover a device.
    """
    devices: list[Painted] = []
    painter = Painter(
        [entry.item.shape for entry in placed],
        np.array([entry.position for entry in placed]).reshape(-1, 3),
        np.array([entry.heading for entry in placed]),
        camera,
        light,
        np.array([entry.item.label is not None for entry in placed], bool),
    )
    boxes = iter(full_boxes([entry for entry in placed if entry.item.label is not None], camera))
    for number, entry in enumerate(placed):
        if entry.item.label is not None:
            ident = FIRST_DEVICE + len(devices)
            painter.paint(canvas, number, ident, exact=True)
            devices.append(_note(canvas, entry, ident, next(boxes)))
        else:
            # elsewhere nobody asks where scenery is
            exact = bool(devices) and _touches(painter.box(number), devices)
            painter.paint(canvas, number, SCENERY if exact or mark else NOTHING, exact)
    return devices


def _touches(box: Sequence[float], devices: Sequence[Painted]) -> bool:
    """Whether something painted into a box of the canvas may cover a device; LINE_8 paints a pixel beyond."""
    x0, y0, x1, y1 = box
    regions = (device.region for device in devices)
    return any(
        x0 <= columns.stop and columns.start <= x1 + 1 and y0 <= rows.stop and rows.start <= y1 + 1
        for rows, columns in regions
    )


def _note(canvas: Canvas, entry: Placed, ident: int, box: Sequence[float] | None) -> Painted:
    height, width = canvas.ids.shape
    # a device that reaches behind the lens is at most half seen
    box = box or (-width / 2, 0.0, width * 1.5, float(height))
    x0, x1 = max(0, int(box[0]) - 1), min(width, int(box[2]) + 2)
    y0, y1 = max(0, int(box[1]) - 1), min(height, int(box[3]) + 2)
    region = (slice(y0, max(y0, y1)), slice(x0, max(x0, x1)))
    wide = max(0.0, min(width, box[2]) - max(0.0, box[0])) / max(box[2] - box[0], 1e-6)
    high = max(0.0, min(height, box[3]) - max(0.0, box[1])) / max(box[3] - box[1], 1e-6)
    count = int(np.count_nonzero(canvas.ids[region] == ident))
    return Painted(entry, ident, region, count, wide * high, (box[3] - box[1]) / SUPER)


def measure(canvas: Canvas, camera: Camera, light: Light, painted: Painted) -> Sighting:
    """What is left of a device when everything is painted."""
    meters = float(np.linalg.norm((painted.entry.position - camera.position)[[0, 2]]))
    mask = canvas.ids[painted.region] == painted.ident
    left = int(np.count_nonzero(mask))
    visible = painted.inside * left / painted.count if painted.count else 0.0
    label = painted.entry.item.label
    hidden = label is None or left == 0 or visible < MIN_VISIBLE or light.clear(meters) < MIN_CLEAR
    if label is None or hidden or (light.night and canvas.rgb[painted.region][mask].mean() < MIN_BRIGHT):
        return Sighting(None, meters, visible, painted.full_height)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y, x = painted.region[0].start, painted.region[1].start
    corners = (x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1)
    x0, y0, x1, y1 = (float(c) / SUPER for c in corners)
    tall = y1 - y0 >= min_height(camera.height / SUPER) and x1 - x0 >= 2
    return Sighting(Box(x0, y0, x1, y1, label) if tall else None, meters, visible, painted.full_height)


def _bonnet(canvas: Canvas, camera: Camera, world: World) -> None:
    share = world.lens.bonnet
    if share <= 0:
        return
    w, h = camera.width, camera.height
    x = np.linspace(0, w, 33)
    curve = h * (1 - share + 0.35 * share * ((x / w - 0.5) * 2) ** 2)
    ring = np.concatenate([np.stack([x, curve], axis=1), [[w, h], [0, h]]])
    shade = world.light.shade(np.array([[0.0, 1.0, 0.0]]), camera.position, camera.position)[0]
    tone = 30 + (world.seed % 5) * 22
    color = [min(255.0, tone * float(c)) for c in shade]
    canvas.polygon(ring, color, BONNET, smooth=True)
    top = int(h * (1 - share))
    rows = np.linspace(1.5, 0.8, max(1, h - top), dtype=np.float32)[:, None, None]
    lit = np.minimum(canvas.rgb[top:] * rows, 255).astype(np.uint8)
    cv2.copyTo(lit, cv2.inRange(canvas.ids[top:], BONNET, BONNET), canvas.rgb[top:])


_HIGH: Final = np.array([[x, y, z] for x in (False, True) for y in (False, True) for z in (False, True)])
"""Which corners of a box lie at its high end, by axis."""


def full_boxes(entries: Sequence[Placed], camera: Camera) -> list[list[float] | None]:
    """The pixel boxes x0, y0, x1, y1 of whole devices with nothing before them; None for those behind the lens."""
    if not entries:
        return []
    low, high = np.array([(e.item.shape.low, e.item.shape.high) for e in entries]).transpose(1, 0, 2)
    flat = np.array([isinstance(entry.item.shape, Billboard) for entry in entries])
    corners = np.where(_HIGH, high[:, None], low[:, None])
    corners[flat, :, 2] = 0.0
    facing = float(np.arctan2(camera.rotation[2][0], camera.rotation[2][2]))
    headings = np.where(flat, facing, [entry.heading for entry in entries])[:, None]
    cos, sin = np.cos(headings), np.sin(headings)
    x, y, z = np.moveaxis(corners, -1, 0)
    points = np.stack([x * cos + z * sin, y, z * cos - x * sin], axis=-1)
    points += np.array([entry.position for entry in entries])[:, None]
    seen = camera.to_camera(points.reshape(-1, 3))
    before = seen[:, 2].reshape(-1, 8).min(axis=1) >= NEAR
    seen[:, 2] = np.maximum(seen[:, 2], NEAR)
    pixels = camera.to_pixels(seen).reshape(-1, 8, 2)
    boxes = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1).tolist()
    return [box if whole else None for box, whole in zip(boxes, before.tolist(), strict=True)]
