"""The steps of making the detectors: pools of made images, the dense head, YOLO."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from streetvision_core.models.backbone import load_backbone
from streetvision_core.training.detectors import _mixture as mixture
from streetvision_core.training.detectors._augment import crop_view
from streetvision_core.training.detectors._dense_train import export_dense, train_dense
from streetvision_core.training.detectors._features import CROP_HEIGHT, CROP_WIDTH, Maps, Shard, write_shard
from streetvision_core.training.detectors._mixture import Source
from streetvision_core.training.detectors._photos import german_negatives, german_works, has_photos
from streetvision_core.training.detectors._pool import fill_pool, read_pool
from streetvision_core.training.detectors._recipe import FIRST_SEED, Recipe
from streetvision_core.training.detectors._samples import Sample
from streetvision_core.training.detectors._yolo_train import export_yolo, train_yolo
from streetvision_core.types import Pixels

_log = structlog.get_logger()

Track = Callable[[Iterable[int], str], Iterable[int]]
"""Wraps an iterable with a progress bar of that title."""

_DENSE_SEED, _YOLO_SEED = 100_000, 20_000


def fill_pools(streets: Path, cache: Path, recipe: Recipe, track: Track) -> None:
    """Renders what is missing of the pools of made images; work zones on real scenes need the photos."""
    made: dict[str, tuple[Source, int]] = {"rendered": (mixture.rendered(), recipe.rendered)}
    if has_photos(streets):
        made["composed"] = (mixture.composed(streets), recipe.composed)
    else:
        _log.warning("detectors.no_photos", folder=str(streets), trains_on="rendered frames alone")
    for name, (source, count) in made.items():
        seeds = range(FIRST_SEED[name], FIRST_SEED[name] + count)
        fill_pool(cache / "pools" / name, source, track(seeds, f"images: {name}"))


def sources(streets: Path, cache: Path) -> dict[str, Source]:
    """Every source of training crops, by name; the pools must be filled. Without photos, the rendered frames."""
    if not has_photos(streets):
        return {"rendered": read_pool(cache / "pools" / "rendered")}
    return {
        "composed": read_pool(cache / "pools" / "composed"),
        "rendered": read_pool(cache / "pools" / "rendered"),
        "cones": mixture.cones(streets),
        "german_signs": mixture.german_signs(streets),
        "negatives": mixture.negatives(streets),
    }


def make_dense(streets: Path, cache: Path, recipe: Recipe, track: Track) -> Path:
    """Trains the dense head.

    Args:
        streets: the photos.
        cache: pools, feature shards and the result.
        recipe: sizes.
        track: progress bar.

    Returns:
        the ONNX file.
    """
    fill_pools(streets, cache, recipe, track)
    maps_of = _maps_of(cache, recipe.dense.threads)
    shards = []
    for name, source in sources(streets, cache).items():
        count = recipe.crops[name]
        folder = cache / "shards" / f"{name}-{count}"
        if (folder / "labels.npz").exists():
            shards.append(Shard.open(folder))
            continue
        numbers = track(range(_DENSE_SEED, _DENSE_SEED + count), f"features: {name}")
        crops = (crop_view(source(n), CROP_WIDTH, CROP_HEIGHT, np.random.default_rng([n, 7])) for n in numbers)
        shards.append(write_shard(folder, crops, count, maps_of))
    draws = [recipe.draws.get(name, 1.0) for name in sources(streets, cache)]
    head = train_dense(shards, recipe.dense, lambda row: _log.info("dense.steps", **row), draws)
    export_dense(head, cache / "dense-lite2.onnx")
    return cache / "dense-lite2.onnx"


def _maps_of(cache: Path, threads: int) -> Callable[[Pixels], Maps]:
    backbone = load_backbone("efficientnet-lite2", threads, cache)

    def maps(pixels: Pixels) -> Maps:
        made = backbone.maps(np.ascontiguousarray(pixels)[None], (8, 16, 32))
        return made[8][0], made[16][0], made[32][0]

    return maps


def make_yolo(streets: Path, cache: Path, recipe: Recipe, track: Track, minutes: float | None = None) -> Path:
    """Trains YOLO12-n, going on from the cache's checkpoint if there is one.

    Args:
        streets: the photos.
        cache: pools, checkpoint and the result.
        recipe: sizes.
        track: progress bar.
        minutes: stop after this long and let the learning rate fall until then; None goes by steps alone.

    Returns:
        the ONNX file.
    """
    fill_pools(streets, cache, recipe, track)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    batches = yolo_batches(sources(streets, cache), recipe)
    model = train_yolo(
        batches, recipe.yolo, cache / "yolo", log=lambda row: _log.info("yolo.steps", **row), deadline=deadline
    )
    export_yolo(model, cache / "yolo12n.onnx", *recipe.yolo_input)
    return cache / "yolo12n.onnx"


def yolo_batches(made: dict[str, Source], recipe: Recipe) -> Iterator[list[Sample]]:
    """Endless batches of square crops; no crop comes twice. Photos of road-works signs are not among them."""
    rng = np.random.default_rng(recipe.yolo.seed)
    names = [name for name in recipe.shares if name in made]
    shares: npt.NDArray[np.float64] = np.array([recipe.shares[name] for name in names])
    shares /= shares.sum()
    number = _YOLO_SEED
    while True:
        batch = []
        for name in rng.choice(names, recipe.yolo.batch, p=shares):
            sample = made[str(name)](int(np.random.default_rng([number, 3]).integers(1 << 30)))
            crop = crop_view(sample, recipe.crop_pixels, recipe.crop_pixels, np.random.default_rng([number, 7]))
            batch.append(crop)
            number += 1
        yield batch


def seen_groups(streets: Path, *, signs: bool) -> list[str]:
    """Groups of photos that trained a detector.

    Args:
        streets: the photos.
        signs: whether the German scenes with works signs were among them (dense-lite2 only).
    """
    groups = {group for _, group in german_negatives(streets)} | {"fatima_train"}
    if signs:
        groups |= {sample.group for sample in german_works(streets)}
    return sorted(groups)


__all__ = ["fill_pools", "make_dense", "make_yolo", "seen_groups", "sources", "yolo_batches"]
