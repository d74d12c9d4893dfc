"""From a source's rows to the feature table: streamed, resumable, near-duplicates joined."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from streetvision_core.data.feature_store import FeatureStore, make_name
from streetvision_core.data.roadwork.rows import SourceRow, join_groups
from streetvision_core.data.splits import join_near_duplicates
from streetvision_core.data.table import UNKNOWN_LABEL, FeatureTable
from streetvision_core.errors import DataError, ImageError
from streetvision_core.images.decode import decode_image
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.features import extract
from streetvision_core.types import Frame

_log = structlog.get_logger()
_BATCH: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """What came of a source.

    Attributes:
        table: one row per readable image; no splits yet.
        rows: what the makers say, row by row.
        joined: how many groups were joined to others because of near-duplicates.
        unreadable: ids of images that could not be decoded.
    """

    table: FeatureTable
    rows: tuple[SourceRow, ...]
    joined: int
    unreadable: tuple[str, ...]


def to_table(
    source: Iterable[tuple[SourceRow, bytes]],
    origin: str,
    models: ModelSet,
    store: Path,
    *,
    near_duplicate_cosine: float,
    progress: Callable[[int], None] = lambda _: None,
) -> Converted:
    """Features of a source's images, with labels and groups.

    Features go into the feature store batch by batch, so a run that was stopped goes on: what is stored is not even
    decoded again. Only rows, digests and features lie in memory, never the images.

    Args:
        source: rows with encoded images, e.g. `NatixSource`.
        origin: the source's name.
        models: backbone and preprocessing.
        store: the feature store's file.
        near_duplicate_cosine: rows this alike belong to one group.
        progress: told the number of rows done.

    Raises:
        DataError: the source has no readable image, or an id twice.
    """
    kept = FeatureStore(store)
    make = make_name(models.backbone, models.preprocessor)
    rows: list[SourceRow] = []
    parts: list[npt.NDArray[np.float32]] = []
    unreadable: list[str] = []
    for batch in _batches(source):
        good, features = _features(batch, kept, make, models, unreadable)
        rows += good
        parts += features
        progress(len(rows) + len(unreadable))
    _check(rows, origin)
    features_all = np.stack(parts)
    groups = join_groups(rows, origin)
    joined = join_near_duplicates(groups, features_all, near_duplicate_cosine)
    table = FeatureTable.build(
        features_all,
        backbone=models.backbone.name,
        preprocessing=models.preprocessor.name,
        ids=[f"{origin}/{row.id}" for row in rows],
        labels=[UNKNOWN_LABEL if row.label is None else row.label for row in rows],
        groups=joined,
        origins=[origin] * len(rows),
    )
    return Converted(table, tuple(rows), len(set(groups)) - len(set(joined)), tuple(unreadable))


def _batches(source: Iterable[tuple[SourceRow, bytes]]) -> Iterator[list[tuple[SourceRow, bytes]]]:
    iterator = iter(source)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _features(
    batch: list[tuple[SourceRow, bytes]], kept: FeatureStore, make: str, models: ModelSet, unreadable: list[str]
) -> tuple[list[SourceRow], list[npt.NDArray[np.float32]]]:
    digests = [hashlib.sha256(data).hexdigest() for _, data in batch]
    known = kept.get(digests, make)
    frames: dict[str, Frame] = {}
    for (row, data), digest in zip(batch, digests, strict=True):
        if digest in known or digest in frames:
            continue
        try:
            frames[digest] = decode_image(data, row.id)
        except ImageError as error:
            _log.warning("source.unreadable", id=row.id, got=error.got)
            unreadable.append(row.id)
    if frames:
        made = extract(list(frames.values()), models.backbone, models.preprocessor)
        kept.put(list(frames), make, made)
        known |= dict(zip(frames, made, strict=True))
    pairs = [(row, known[digest]) for (row, _), digest in zip(batch, digests, strict=True) if digest in known]
    return [row for row, _ in pairs], [features for _, features in pairs]


def _check(rows: list[SourceRow], origin: str) -> None:
    ids = {row.id for row in rows}
    if not rows or len(ids) != len(rows):
        raise DataError(
            got=f"{len(rows)} readable images of {len(ids)} different ids in {origin}",
            allowed="at least one image, each with an id of its own",
            action="look at the source's rows: a shard may be named twice",
        )
