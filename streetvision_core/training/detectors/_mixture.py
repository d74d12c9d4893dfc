"""Where training crops come from, each source a function of a number, so that any crop can be made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from streetvision_core.training.detectors._augment import crop_view
from streetvision_core.training.detectors._photos import cone_photos, german_negatives, german_works, read_rgb
from streetvision_core.training.detectors._samples import Sample, make_sample
from streetvision_core.types import Pixels

Source = Callable[[int], Sample]
"""From a seed to an image with boxes; the same seed gives the same image."""


def cones(root: Path) -> Source:
    """Cone photos of the training part."""
    photos = list(cone_photos(root, "train"))
    return lambda seed: photos[seed % len(photos)]


def german_signs(root: Path) -> Source:
    """German scenes of seen groups with a boxed road-works sign."""
    photos = list(german_works(root))
    return lambda seed: photos[seed % len(photos)]


def negatives(root: Path) -> Source:
    """German scenes of seen groups without any device; their ordinary signs are the hard part."""
    paths = german_negatives(root)

    @lru_cache(maxsize=256)
    def photo(index: int) -> Sample:
        path, group = paths[index]
        return make_sample(read_rgb(path), (), group)

    return lambda seed: photo(seed % len(paths))


def views(source: Source, count: int, width: int, height: int, first_seed: int) -> Iterator[Sample]:
    """`count` augmented crops of a source.

    Args:
        source: what to crop.
        count: how many.
        width: of a crop, pixels.
        height: of a crop, pixels.
        first_seed: crop i is a function of first_seed + i alone.
    """
    for seed in range(first_seed, first_seed + count):
        yield crop_view(source(seed), width, height, np.random.default_rng([seed, 7]))


def rendered(width: int = 640, height: int = 384) -> Source:
    """Frames of the rendered street world, half of them with a work zone."""
    from streetvision_core.data import scenes

    def one(seed: int) -> Sample:
        scene = scenes.render(seed, roadwork=seed % 2 == 0, width=width, height=height)
        return make_sample(scene.frame.pixels, scene.boxes, scene.group)

    return one


def composed(root: Path, longest: int = 960) -> Source:
    """Work zones rendered onto real scenes of seen groups; one in six is left as it was, its own negative twin."""
    import cv2

    from streetvision_core.data import scenes

    photo = negatives(root)

    def one(seed: int) -> Sample:
        rng = np.random.default_rng([seed, 11])
        held = photo(int(rng.integers(1 << 30)))
        pixels = _band(held.pixels, rng)
        scale = min(1.0, longest / pixels.shape[1])
        pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
        if rng.random() < 0.5:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        scene = scenes.compose(pixels, seed)
        return make_sample(scene.frame.pixels, scene.boxes, held.group)

    return one


def _band(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Cuts up to a quarter off the sides, so that one scene gives many backgrounds; the horizon stays in place."""
    width = pixels.shape[1]
    left, right = (int(rng.uniform(0, 0.25) * width) for _ in range(2))
    return np.ascontiguousarray(pixels[:, left : width - right])
