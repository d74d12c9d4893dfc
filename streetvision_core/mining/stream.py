"""The demo query stream: what a simulated day of queries looks like, and the fixed set the gate decides on.

Two kinds of queries come, as they do in the field: drives of a dashcam at 2 frames a second, and single frames in the
validators' three image regimes. The truth is the rendered world's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streetvision_core.data import scenes
from streetvision_core.images.challenge import sample
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.mining import seeds
from streetvision_core.types import ERAS, Era, FailureMode

if TYPE_CHECKING:
    from streetvision_core.data.scenes import SceneFrame

DRIVE_FRAMES: Final = 16
DRIVE_FPS: Final = 2.0
DRIVE_SHARE: Final = 0.4
"""Share of a day's queries that come from drives."""
DRIVE_ROADWORK: Final = 0.7
"""Share of drives that meet a work zone; its frames are positive only while it is in sight."""
SCENE_ROADWORK: Final = 0.5
_SIZE: Final = (480, 270)
"""Width and height of a frame as `scenes.render` makes it unless told otherwise, in pixels."""


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """One query of the demo stream.

    Attributes:
        jpeg_bytes: the image as it is sent.
        truth: 1 road work, 0 none. As with the validators, a crop that misses the work zone keeps the frame's label.
        era: the image regime it is sent in.
        group: the drive or scene it belongs to.
        modes: the failure modes the rendered world knows of.
        origin: `rendered-drive` or `rendered-scene`.
    """

    jpeg_bytes: bytes
    truth: int
    era: Era
    group: str
    modes: tuple[FailureMode, ...]
    origin: str


def day_stream(day_index: int, n: int, seed: int = 0) -> Iterator[StreamQuery]:
    """The queries of one simulated day, in the order they arrive.

    Args:
        day_index: 0 for the project's first day.
        n: how many queries.
        seed: the project's seed; the same arguments give the same bytes.

    Raises:
        DataError: more scenes than a day has seeds for, or a day beyond the project's last.
    """
    block = iter(seeds.take(seeds.block(seeds.STREAM, seed=seed, day_index=day_index), n))
    rng = np.random.default_rng([seeds.STREAM.start, seed, day_index])
    sent = 0
    while sent < n:
        # A drive stands for DRIVE_FRAMES queries, so it is drawn that much less often than a single frame.
        drive = rng.random() < DRIVE_SHARE / (DRIVE_SHARE + (1 - DRIVE_SHARE) * DRIVE_FRAMES)
        queries = _drive(next(block), min(DRIVE_FRAMES, n - sent), rng) if drive else _scene(next(block), rng)
        for query in queries:
            yield query
            sent += 1


def heldout_stream(n: int, seed: int = 0, every: int = 1) -> Iterator[StreamQuery]:
    """The gate's fixed set: n independent scenes, one frame and one group each, in all three eras.

    It is the same on every day and disjoint from every stream and every synthetic frame. Never mine it.

    Args:
        n: how many scenes.
        seed: the project's seed.
        every: only scene 0, `every`, 2 `every`, … of the n, the same as in the whole set; the others are not rendered.
    """
    rng = np.random.default_rng([seeds.HELDOUT.start, seed])
    held = seeds.block(seeds.HELDOUT, seed=seed)
    for i, scene_seed in enumerate(seeds.take(held[: len(held) // 2], n)):
        if i % every:
            _draw_only(rng)
        else:
            yield from _scene(scene_seed, rng)


def challenge_stream(n: int, seed: int = 0) -> Iterator[StreamQuery]:
    """The rendered part of the challenge set: n scenes of held-out seeds that the gate's fixed set never reaches.

    Raises:
        DataError: more scenes than half of the held-out seeds.
    """
    held = seeds.block(seeds.HELDOUT, seed=seed)
    rng = np.random.default_rng([seeds.HELDOUT.start, seed, 1])
    for scene_seed in seeds.take(held[len(held) // 2 :], n):
        yield from _scene(scene_seed, rng)


def _scene(scene_seed: int, rng: np.random.Generator) -> Iterator[StreamQuery]:
    era, roadwork = _draw(rng)
    scene = scenes.render(scene_seed, roadwork=roadwork)
    pixels, _level = sample(scene.frame.pixels, era, rng)
    yield _query(scene, encode_jpeg(pixels), era, "rendered-scene")


def _draw(rng: np.random.Generator) -> tuple[Era, bool]:
    return ERAS[int(rng.integers(len(ERAS)))], bool(rng.random() < SCENE_ROADWORK)


def _draw_only(rng: np.random.Generator) -> None:
    """Draws what a scene would draw: how much depends on its era and size, not on what it shows."""
    era, _ = _draw(rng)
    sample(np.zeros((_SIZE[1], _SIZE[0], 3), np.uint8), era, rng)


def _drive(drive_seed: int, n_frames: int, rng: np.random.Generator) -> Iterator[StreamQuery]:
    roadwork = bool(rng.random() < DRIVE_ROADWORK)
    for scene in scenes.drive(drive_seed, n_frames, fps=DRIVE_FPS, roadwork=roadwork):
        yield _query(scene, encode_jpeg(scene.frame.pixels), "native", "rendered-drive")


def _query(scene: SceneFrame, jpeg_bytes: bytes, era: Era, origin: str) -> StreamQuery:
    return StreamQuery(jpeg_bytes, scene.label, era, scene.group, tuple(sorted(scene.modes)), origin)
