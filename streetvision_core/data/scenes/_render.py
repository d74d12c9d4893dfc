"""The face of the rendered world: single frames and drives."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from streetvision_core.data.scenes._frame import SceneFrame, device_modes
from streetvision_core.data.scenes._light import light_modes
from streetvision_core.data.scenes._sensor import develop, draw_sensor
from streetvision_core.data.scenes._stage import build_world, hunt_place, lay_road, stream
from streetvision_core.data.scenes._view import Look, look
from streetvision_core.data.scenes._world import World
from streetvision_core.errors import DataError
from streetvision_core.types import FAILURE_MODES, FailureMode, Frame

DEVICE_MODES: Final[frozenset[FailureMode]] = frozenset({"far", "small", "occlusion"})
_TRIES: Final = 40


def render(
    seed: int,
    *,
    roadwork: bool | None = None,
    modes: Sequence[FailureMode] | None = None,
    width: int = 480,
    height: int = 270,
) -> SceneFrame:
    """Renders one frame. The same seed with and without road work shows the same street.

    Args:
        seed: any integer >= 0; equal arguments give equal pixels in every process.
        roadwork: whether a device is to be seen; None: half of the seeds.
        modes: failure modes the frame shall have: exactly these of night, rain, fog and glare, at least these of far,
            small and occlusion (which only road work can have). None draws the light and leaves the others open.
        width: pixels.
        height: pixels.

    Raises:
        DataError: a mode the rendered world has not, or far, small or occlusion without road work.

    Example:
        >>> frame = render(3, roadwork=True)
        >>> frame.label, len(frame.boxes) > 0, frame.frame.pixels.shape
        (1, True, (270, 480, 3))
    """
    wanted = frozenset(modes or ())
    _check(wanted, roadwork)
    if roadwork is None:
        roadwork = bool(wanted & DEVICE_MODES) or bool(stream(seed, 0).random() < 0.5)
    world, view = _positive(seed, modes, width, height) if roadwork else _negative(seed, modes, width, height)
    return _finish(world, view, seed, 0, f"scene-{seed}", f"scene:{seed}:{int(roadwork)}")


def drive(
    seed: int,
    n_frames: int,
    *,
    fps: float = 2.0,
    roadwork: bool = True,
    width: int = 480,
    height: int = 270,
) -> Iterator[SceneFrame]:
    """Drives through one street and yields its frames in order.

    With road work the zone lies ahead, so the first frames may show none of it yet: each frame's label is what is seen.

    Args:
        seed: any integer >= 0.
        n_frames: how many frames.
        fps: frames per second.
        roadwork: whether there is a work zone on the way.
        width: pixels.
        height: pixels.
    """
    seconds = n_frames / fps
    road, _ = lay_road(seed, seconds)
    share = float(stream(seed, 9).uniform(0.2, 0.9))
    world = build_world(seed, seconds, 70.0 + share * road.length if roadwork else None)
    for number in range(n_frames):
        view = look(world, width, height, number / fps)
        yield _finish(world, view, seed, number, f"drive-{seed}", f"drive:{seed}:{number}")


def _check(wanted: frozenset[FailureMode], roadwork: bool | None) -> None:
    known = frozenset(FAILURE_MODES) - {"unusual"}
    if wanted - known:
        raise DataError(
            got=f"failure modes {sorted(wanted - known)}",
            allowed=", ".join(sorted(known)),
            action="ask the rendered world only for modes it can make",
        )
    if roadwork is False and wanted & DEVICE_MODES:
        raise DataError(
            got=f"{sorted(wanted & DEVICE_MODES)} with roadwork=False",
            allowed="far, small and occlusion only with road work: they say how devices are seen",
            action="leave them out or set roadwork=True",
        )


def _negative(seed: int, modes: Collection[FailureMode] | None, width: int, height: int) -> tuple[World, Look]:
    world = build_world(seed, 0.0, None, modes)
    return world, look(world, width, height)


def _positive(seed: int, modes: Collection[FailureMode] | None, width: int, height: int) -> tuple[World, Look]:
    """Tries zones until one is seen as wished."""
    wanted = DEVICE_MODES & set(modes or ())
    for attempt in range(_TRIES):
        place = hunt_place(stream(seed, 8, attempt), wanted)
        world = build_world(seed, 0.0, place, modes, attempt)
        view = look(world, width, height)
        if any(s.box for s in view.sightings) and wanted <= device_modes(view.sightings, width, height):
            return world, view
    raise DataError(
        got=f"no view of road work with {sorted(wanted)} in {_TRIES} tries for seed {seed}",
        allowed="modes that can hold together at this size",
        action="take another seed, fewer modes or a larger picture",
        seed=seed,
    )


def _finish(world: World, view: Look, seed: int, number: int, group: str, source: str) -> SceneFrame:
    height, width = view.pixels.shape[:2]
    sensor = draw_sensor(stream(seed, 10), world.light.night)
    pixels = develop(view, world.light, sensor, stream(seed, 11, number))
    seen = [(s.box, s.meters) for s in view.sightings if s.box is not None]
    modes = light_modes(world.light) | device_modes(view.sightings, width, height)
    return SceneFrame(
        frame=Frame.from_pixels(pixels, source),
        label=int(bool(seen)),
        boxes=tuple(box for box, _ in seen),
        distances_meters=tuple(meters for _, meters in seen),
        modes=modes,
        group=group,
    )
