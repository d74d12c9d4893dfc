"""Frozen maps of augmented crops, computed once and kept on disk, so that a head trains in minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streetvision_core.training.detectors._dense_net import MAP_CHANNELS, STRIDE, make_targets
from streetvision_core.training.detectors._samples import Sample
from streetvision_core.types import Pixels

CROP_WIDTH: Final = 384
CROP_HEIGHT: Final = 256

Maps = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]
MapsOf = Callable[[Pixels], Maps]
"""uint8 [H, W, 3] to the maps of strides 8, 16, 32, each float32 [C, h, w]."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Crops of one source on disk.

    Attributes:
        folder: holds map8.npy, map16.npy, map32.npy (float16 [N, C, h, w]) and labels.npz.
        count: N.
    """

    folder: Path
    count: int

    @classmethod
    def open(cls, folder: Path) -> Shard:
        """Opens a shard written by `write_shard`."""
        return cls(folder, int(np.load(folder / "labels.npz")["offsets"].shape[0]) - 1)


def write_shard(folder: Path, views: Iterable[Sample], count: int, maps_of: MapsOf) -> Shard:
    """Computes and stores the maps of `count` crops of CROP_WIDTH x CROP_HEIGHT.

    Args:
        folder: where to; made if absent. labels.npz is written last, so a broken shard is never opened.
        views: the crops.
        count: how many.
        maps_of: the frozen backbone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shapes = [(c, CROP_HEIGHT // s, CROP_WIDTH // s) for c, s in zip(MAP_CHANNELS, (8, 16, 32), strict=True)]
    stores = [
        np.lib.format.open_memmap(folder / f"map{s}.npy", "w+", np.float16, (count, *shape))
        for s, shape in zip((8, 16, 32), shapes, strict=True)
    ]
    corners, labels, known, offsets = [], [], [], [0]
    for i, view in enumerate(views):
        for store, value in zip(stores, maps_of(view.pixels), strict=True):
            store[i] = value.astype(np.float16)
        corners.append(view.corners)
        labels.append(view.labels)
        known.append(view.known)
        offsets.append(offsets[-1] + len(view.labels))
    for store in stores:
        store.flush()
    np.savez(
        folder / "labels.npz",
        corners=np.concatenate(corners),
        labels=np.concatenate(labels),
        known=np.stack(known),
        offsets=np.array(offsets),
    )
    return Shard(folder, count)


class ShardSet(torch.utils.data.Dataset[tuple[Tensor, ...]]):
    """Several shards as one data set of (maps, targets)."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._parts = []
        self._index: list[tuple[int, int]] = []
        for number, shard in enumerate(shards):
            maps = [np.load(shard.folder / f"map{s}.npy", mmap_mode="r") for s in (8, 16, 32)]
            with np.load(shard.folder / "labels.npz") as held:
                self._parts.append((maps, {name: held[name] for name in held.files}))
            self._index += [(number, i) for i in range(shard.count)]

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, item: int) -> tuple[Tensor, ...]:
        maps, held = self._parts[self._index[item][0]]
        i = self._index[item][1]
        span = slice(held["offsets"][i], held["offsets"][i + 1])
        targets = make_targets(
            torch.from_numpy(held["corners"][span]),
            torch.from_numpy(held["labels"][span]),
            torch.from_numpy(held["known"][i]),
            CROP_HEIGHT // STRIDE,
            CROP_WIDTH // STRIDE,
        )
        return (*(torch.from_numpy(np.array(m[i])) for m in maps), *(t.half() for t in targets[:2]), *targets[2:])
