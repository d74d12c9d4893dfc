"""Stands rendered work-zone devices into a real photo, so that each real street has a twin with road work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from streetvision_core.data.scenes import _channelizers, _furniture, _machines, _people
from streetvision_core.data.scenes._atlas import load_signs, sign_names
from streetvision_core.data.scenes._brush import Plane, noise_tile
from streetvision_core.data.scenes._camera import Array, Camera
from streetvision_core.data.scenes._canvas import Canvas
from streetvision_core.data.scenes._frame import SceneFrame, device_modes
from streetvision_core.data.scenes._light import Light
from streetvision_core.data.scenes._relight import cast_shadows
from streetvision_core.data.scenes._road import Region, Road, Section
from streetvision_core.data.scenes._sensor import grain, jpeg
from streetvision_core.data.scenes._stage import stream
from streetvision_core.data.scenes._view import SUPER, measure, paint_items, place_items
from streetvision_core.data.scenes._world import Draft
from streetvision_core.data.scenes._zone import channelizer
from streetvision_core.types import FailureMode, Frame, Pixels

_MOST: Final = 14


@dataclass(frozen=True, slots=True)
class _Look:
    """What a photo tells: its light, its sharpness as a blur for the devices, and its grain, 0..255."""

    light: Light
    blur: float
    noise: float
    dark: bool


def compose(background: Pixels, seed: int, *, n_devices: int | None = None, horizon: float | None = None) -> SceneFrame:
    """Renders work-zone devices, and a few things that are none, into a photo.

    Args:
        background: a street photo without road work, uint8 RGB [H, W, 3].
        seed: any integer >= 0.
        n_devices: how many devices to stand into it; 0 adds distractors only; None draws 0 (one time in six) to 14.
            Fewer may be labelled: some are hidden, cut off or too small.
        horizon: row of the horizon as a share of the height; None draws it round 0.5.

    Returns:
        The photo with exact boxes. Its group is `compose-SEED`: the caller who knows the photo's group must use that.
    """
    rng = stream(seed, 21)
    height, width = background.shape[:2]
    if n_devices is None:
        n_devices = 0 if rng.random() < 1 / 6 else int(rng.integers(1, _MOST + 1))
    share = float(np.clip(rng.normal(0.5, 0.025), 0.42, 0.58)) if horizon is None else horizon
    camera = _camera(rng, width, height, share)
    known = _read_photo(background, share, rng)
    draft = _draft(rng, known.dark)
    _distract(draft)
    _furnish(draft, n_devices)
    return _blend(background, draft, camera, known, stream(seed, 22), seed)


def _camera(rng: np.random.Generator, width: int, height: int, horizon: float) -> Camera:
    focal = width * SUPER / 2 / np.tan(np.radians(rng.uniform(46, 72)) / 2)
    pitch = np.arctan((0.5 - horizon) * height * SUPER / focal)
    position = np.array([0.0, rng.uniform(1.15, 1.7), 0.0])
    return Camera.looking(width * SUPER, height * SUPER, focal, position, (0.0, float(pitch), 0.0))


def _draft(rng: np.random.Generator, dark: bool) -> Draft:
    region: Region = "eu" if rng.random() < 0.5 else "us"
    grey = (100.0, 100.0, 100.0)
    section = Section("suburb", region, 1, 1, 3.4, 0.0, 0.5, 2.0, 0.0, grey, grey)
    return Draft(Road(section, 0.0, 60.0, 0.0, 60.0), rng, dark)


def _read_photo(background: Pixels, horizon: float, rng: np.random.Generator) -> _Look:
    small = np.asarray(cv2.resize(background, (96, 54), interpolation=cv2.INTER_AREA), np.float32)
    row = int(54 * horizon)
    ground, band = small[row:].reshape(-1, 3), small[max(0, row - 8) : row + 1].reshape(-1, 3)
    level = float(np.median(ground.mean(axis=1))) / 255
    cast = ground.mean(axis=0) / max(1.0, float(ground.mean()))
    tint = np.clip(level / 0.40, 0.22, 1.12) * (0.55 + 0.45 * cast) * rng.uniform(0.9, 1.1)
    angle = rng.uniform(-np.pi, np.pi)
    to_sun = np.array([0.75 * np.sin(angle), 0.66, 0.75 * np.cos(angle)])
    # below the threshold of hard shadows: the photo's own sun is unknown
    light = Light(to_sun, 0.24 * tint / max(1.0, float(tint.mean())), 0.8 * tint, np.zeros(3), band.mean(axis=0), 0.003)
    grey = cv2.cvtColor(background, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(grey - np.asarray(cv2.GaussianBlur(grey, (0, 0), 1.0)))
    sharp = float(np.percentile(detail, 97))
    noise = float(np.percentile(detail, 30)) * 1.6
    return _Look(light, float(np.clip(1.25 - sharp / 16, 0.35, 1.2)), float(np.clip(noise, 0.4, 6)), level < 0.14)


def _spot(draft: Draft, side: int = 0) -> tuple[float, float]:
    """A place on the ground: distances spread evenly in their logarithm, so that sizes are too."""
    s = float(np.exp(draft.uniform(np.log(4.5), np.log(42))))
    d = draft.uniform(-0.55, 0.55) * s * 1.1
    if side:
        d = side * (abs(d) * 0.7 + draft.uniform(1.2, 3.0))
    return s, float(np.clip(d, -9, 9)) + draft.road.section.lane / 2


def _distract(draft: Draft) -> None:
    names = sign_names("other", draft.road.section.region)
    for _ in range(int(draft.rng.poisson(0.9))):
        s, d = _spot(draft, 1 if draft.chance(0.7) else -1)
        entry = load_signs()[names[draft.pick(len(names))]]
        low = draft.uniform(1.3, 2.4)
        draft.add(_furniture.pole(round(low + entry.height_m - 0.1, 1), 0.06), s + 0.06, d)
        draft.add(_furniture.sign(entry.name), s, d, draft.uniform(-0.3, 0.3), low, shadow=False)
    for _ in range(int(draft.rng.poisson(0.5))):
        s, d = _spot(draft, 1 if draft.chance(0.7) else -1)
        if draft.chance(0.5):
            draft.add(_people.walker(draft.pick(_people.WALKERS)), s, d)
        else:
            draft.add(_furniture.trifle(_furniture.TRIFLES[draft.pick(len(_furniture.TRIFLES))]), s, d)


def _furnish(draft: Draft, count: int) -> None:
    """Adds `count` labelled devices, in small arrangements."""
    start = sum(item.label is not None for item in draft.items)
    while (have := sum(item.label is not None for item in draft.items) - start) < count:
        makers = _SINGLES if count - have < 3 else _ARRANGEMENTS
        before = len(draft.items)
        makers[draft.pick(len(makers))](draft)
        _trim(draft, before, count - have)


def _trim(draft: Draft, before: int, room: int) -> None:
    kept = draft.items[:before]
    for item in draft.items[before:]:
        if item.label is None or room > 0:
            kept.append(item)
            room -= item.label is not None
    draft.items = kept


def _channel(draft: Draft) -> None:
    s, d = _spot(draft)
    shape, label = channelizer(draft)
    draft.add(shape, s, d, draft.uniform(-0.4, 0.4), 0.0, label)


def _taper(draft: Draft) -> None:
    s, d = _spot(draft)
    shape, label = channelizer(draft)
    step, slant = draft.uniform(1.2, 5), draft.uniform(-0.35, 0.35)
    for number in range(3 + draft.pick(5)):
        draft.add(shape, s + number * step, d + number * step * slant, draft.uniform(-0.3, 0.3), 0.0, label)


def _barrier(draft: Draft) -> None:
    s, d = _spot(draft)
    shape = _channelizers.barrier(draft.pick(_channelizers.BARRIERS))
    draft.add(shape, s + 1.5, d, draft.uniform(-0.7, 0.7), 0.0, "barrier")


def _barrier_row(draft: Draft) -> None:
    s, d = _spot(draft, 1 if draft.chance(0.6) else -1)
    pair = _channelizers.barrier_pair(draft.pick(_channelizers.BARRIERS))
    width, yaw = float(pair[0].high[0] - pair[0].low[0]) + 0.1, draft.uniform(-1.5, 1.5)
    for number in range(2 + draft.pick(4)):
        at = number * width
        draft.add(
            pair[number % 2], s + 2 + at * abs(np.sin(yaw)), d - at * np.cos(yaw) * np.sign(d), yaw, 0.0, "barrier"
        )


def _sign(draft: Draft) -> None:
    s, d = _spot(draft, 1 if draft.chance(0.75) else -1)
    names = sign_names("work", draft.road.section.region)
    entry = load_signs()[names[draft.pick(len(names))]]
    low = draft.uniform(0.35, 2.2)
    draft.add(_furniture.pole(round(low + entry.height_m * 0.5, 1), 0.06), s + 0.06, d)
    yaw = float(np.arctan2(d, s)) * draft.uniform(0.0, 0.8) + draft.uniform(-0.25, 0.25)
    draft.add(_furniture.sign(entry.name, draft.pick(7) - 3), s, d, yaw, low, "sign", shadow=False)


def _worker(draft: Draft) -> None:
    s, d = _spot(draft)
    draft.add(_people.worker(draft.pick(_people.WORKERS)), s + 1, d, 0.0, 0.0, "worker")


def _machine(draft: Draft) -> None:
    s, d = _spot(draft, 1 if draft.chance(0.6) else -1)
    shape = _machines.machine(draft.pick(_machines.MACHINES), draft.night)
    draft.add(shape, s * 0.8 + 7, d, draft.uniform(-0.8, 0.8) + (np.pi if draft.chance(0.3) else 0), 0.0, "vehicle")


_SINGLES: Final[tuple[Callable[[Draft], None], ...]] = (
    _channel, _channel, _channel, _barrier, _sign, _sign, _worker, _machine,
)  # fmt: skip
_ARRANGEMENTS: Final = (*_SINGLES, _taper, _taper, _taper, _barrier_row, _worker)


def _blend(
    background: Pixels, draft: Draft, camera: Camera, known: _Look, rng: np.random.Generator, seed: int
) -> SceneFrame:
    height, width = background.shape[:2]
    placed = place_items(draft.items, draft.road, camera)
    standing = [(p.item, p.position, p.heading) for p in placed if p.item.shadow]
    shade = cast_shadows(camera, known.light, standing)
    base = np.clip(background * shade[:height, :width, None], 0, 255).astype(np.uint8)
    canvas = Canvas(np.ascontiguousarray(base.repeat(SUPER, axis=0).repeat(SUPER, axis=1)))
    painted = paint_items(canvas, camera, known.light, placed, mark=True)
    sightings = tuple(measure(canvas, camera, known.light, device) for device in painted)
    pixels = _match(base, canvas, known, rng)
    if rng.random() < 0.8:
        # always and everywhere, or a detector would learn who came late to the file
        pixels = jpeg(pixels, int(rng.integers(70, 96)))
    seen = [(s.box, s.meters) for s in sightings if s.box is not None]
    night: frozenset[FailureMode] = frozenset({"night"} if known.dark else ())
    return SceneFrame(
        frame=Frame.from_pixels(pixels, f"compose:{seed}"),
        label=int(bool(seen)),
        boxes=tuple(box for box, _ in seen),
        distances_meters=tuple(meters for _, meters in seen),
        modes=device_modes(sightings, width, height) | night,
        group=f"compose-{seed}",
    )


def _match(base: Pixels, canvas: Canvas, known: _Look, rng: np.random.Generator) -> Pixels:
    """Halves the canvas and gives what was painted the photo's sharpness and grain."""
    region = _touched(canvas.ids != 0)
    if region is None:
        return base
    rows, columns = region
    wide = (slice(rows.start * SUPER, rows.stop * SUPER), slice(columns.start * SUPER, columns.stop * SUPER))
    size = (columns.stop - columns.start, rows.stop - rows.start)
    small = cv2.resize(canvas.rgb[wide], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    cover = cv2.resize((canvas.ids[wide] != 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    soft: Plane = np.asarray(cv2.GaussianBlur(small, (0, 0), known.blur), np.float32)
    mask = np.clip(np.asarray(cv2.GaussianBlur(cover, (0, 0), known.blur)) * 1.6, 0, 1)[..., None]
    soft *= 1 + 0.045 * _stains(soft.shape[0], soft.shape[1], rng)[..., None]
    soft += known.noise * grain(soft.shape, rng)
    out = base.copy()
    out[rows, columns] = np.clip(base[rows, columns] * (1 - mask) + soft * mask, 0, 255).astype(np.uint8)
    return out


def _stains(height: int, width: int, rng: np.random.Generator) -> Plane:
    """Unevenness of real surfaces, over devices and distractors alike."""
    tile = noise_tile()
    rows = (np.arange(height) * 2 + int(rng.integers(512))) % 512
    columns = (np.arange(width) * 2 + int(rng.integers(512))) % 512
    return np.asarray(tile[np.ix_(rows, columns)])


def _touched(painted: Array) -> tuple[slice, slice] | None:
    """The part of the small picture that was painted on, with a margin for blur."""
    rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
    if not len(rows):
        return None
    height, width = painted.shape[0] // SUPER, painted.shape[1] // SUPER
    margin = 5
    return (
        slice(max(0, int(rows[0]) // SUPER - margin), min(height, int(rows[-1]) // SUPER + margin)),
        slice(max(0, int(columns[0]) // SUPER - margin), min(width, int(columns[-1]) // SUPER + margin)),
    )
