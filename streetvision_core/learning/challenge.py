"""The challenge set of a workspace: chosen once, checked whenever something teaches; `facing` shows versions to it."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from streetvision_core.data.challenge_set import (
    SET_FILE,
    ChallengeImage,
    ChallengeSet,
    TrainedGroups,
    choose,
    load_challenge_set,
)
from streetvision_core.data.observe import Observer
from streetvision_core.data.sources import FolderSource, LabelledImage
from streetvision_core.data.starter import StarterPack
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image, read_image
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.learning.rendered import RENDERED, observe_rendered
from streetvision_core.learning.sources import pack_fits, starter_rows
from streetvision_core.mining.modes import tag
from streetvision_core.mining.stream import challenge_stream
from streetvision_core.settings import Settings
from streetvision_core.types import Split

RENDERED_SHARE: Final = 1 / 25
"""Rendered challenge scenes for each held-out one; they stand in until a folder of photos is there."""
_CANDIDATES_PER_IMAGE: Final = 3
_BATCH: Final = 16


def challenge_folder(data: Path) -> Path:
    """Where the set lies, beside what has been shown of it and what has taught."""
    return data / "challenge"


def taught_groups(data: Path, observer: Observer) -> TrainedGroups:
    """Every group that ever taught a head, a threshold or a detector of the profile."""
    trained = TrainedGroups(challenge_folder(data) / "taught.txt")
    trained.remember(observer.models.seen_groups)
    return trained


def choose_challenge(settings: Settings, observer: Observer, pack: StarterPack, taught: Container[str]) -> ChallengeSet:
    """A set for a workspace that has none.

    Photographs of `challenge.folder` where that is set, else rendered scenes of their own seeds and the starter pack's
    real TEST photos.

    Raises:
        DataError: the folder holds no labelled image that has not taught.
    """
    folder, n = settings.challenge.folder, settings.challenge.images
    if folder is None:
        return choose([*_scenes(settings), *_starter_images(settings, pack)], n, settings.seed)
    source = settings.paths.home / folder
    images = [image for image in FolderSource(source) if image.label is not None and image.group not in taught]
    if not images:
        raise DataError(
            got=f"no labelled image in {source} that has not taught",
            allowed="subfolders roadwork and none with photos nobody trained on",
            action="set challenge.folder to such a folder, or unset it",
        )
    picked = np.random.default_rng(settings.seed).permutation(len(images))[: n * _CANDIDATES_PER_IMAGE]
    return choose([_photo(images[i], source) for i in sorted(picked)], n, settings.seed)


def observe_challenge(chosen: ChallengeSet, settings: Settings, observer: Observer, pack: StarterPack) -> Dataset:
    """The set's rows by the profile's models, in the set's order.

    Raises:
        DataError: a photograph is not the one the set was made from, or the pack that it took photos from has changed.
    """
    parts = [_rendered_rows(chosen, settings, observer), _starter_rows(chosen, settings, observer, pack)]
    together = Dataset.concat([part for part in (*parts, *_photo_rows(chosen, settings, observer)) if part])
    where = {name: row for row, name in enumerate(together.table.ids)}
    if missing := [image.id for image in chosen.images if image.id not in where]:
        raise DataError(
            got=f"{len(missing)} images of the challenge set that are no longer there, e.g. {missing[0]}",
            allowed="the scenes, photos and starter pack the set was made from",
            action="restore them; the set itself is never changed",
        )
    return together.select([where[image.id] for image in chosen.images])


def load_challenge(
    settings: Settings, observer: Observer, pack: StarterPack, data: Path
) -> tuple[ChallengeSet, Dataset] | None:
    """The workspace's set and its rows; None where none was saved. Rows of other models are observed now.

    Raises:
        ManifestError: the set is not the one that was saved.
    """
    folder = challenge_folder(data)
    if not (folder / SET_FILE).exists():
        return None
    chosen = load_challenge_set(folder)
    path = _rows_file(folder, chosen, observer)
    if not path.exists():
        return chosen, observe_challenge(chosen, settings, observer, pack)
    table = FeatureTable.load(path)
    if table.ids != tuple(image.id for image in chosen.images):
        raise DataError(
            got=f"{path.name}, whose rows are not those of the challenge set",
            allowed="rows made from the set",
            action=f"remove {path}; it is made again",
        )
    rows = tuple(
        Provenance(image.id, world="rendered" if image.source == "rendered" else "real", source="challenge set")
        for image in chosen.images
    )
    return chosen, Dataset(table, rows, observer.detectors)


def save_challenge(chosen: ChallengeSet, rows: Dataset, observer: Observer, data: Path) -> None:
    """Keeps the set, once and for all, and its rows by these models.

    Raises:
        DataError: another set is there; a challenge set is never overwritten.
    """
    folder = challenge_folder(data)
    chosen.save(folder)
    rows.table.save(_rows_file(folder, chosen, observer))


def check_challenge(dataset: Dataset, chosen: ChallengeSet, rows: Dataset, taught: TrainedGroups) -> None:
    """Makes sure that nothing of the challenge set is among what teaches: TRAIN, SELECT and CALIBRATE rows.

    Raises:
        LeakError: a row of the challenge set would teach.
    """
    chosen.check_disjoint(taught, _teaching(dataset).table, rows.table)


def record_taught(dataset: Dataset, taught: TrainedGroups) -> None:
    """Notes the groups that teach from now on."""
    taught.add(_teaching(dataset).table.groups)


def _teaching(dataset: Dataset) -> Dataset:
    return dataset.in_split(Split.TRAIN, Split.SELECT, Split.CALIBRATE)


def _scenes(settings: Settings) -> list[ChallengeImage]:
    rendered = enumerate(challenge_stream(_rendered_count(settings), settings.seed))
    return [
        ChallengeImage(_scene_id(i, q.jpeg_bytes), q.truth, q.group, RENDERED, q.era, q.modes, "rendered")
        for i, q in rendered
    ]


def _starter_images(settings: Settings, pack: StarterPack) -> list[ChallengeImage]:
    if not pack_fits(settings, pack):
        return []  # the pack holds features, not photos: another backbone cannot see them
    table = pack.table
    native = np.array([era == "native" for era in table.eras])
    rows = table.select(table.in_split(Split.TEST) & native & (table.labels >= 0))
    pairs = zip(rows.ids, rows.labels, rows.groups, rows.origins, strict=True)
    return [ChallengeImage(i, int(y), g, o, "native", (), "starter") for i, y, g, o in pairs]


def _photo(image: LabelledImage, root: Path) -> ChallengeImage:
    frame, name = read_image(image.path), image.path.relative_to(root).as_posix()
    modes = tuple(sorted(tag(frame)))
    key = f"{frame.sha256[:16]}:{name}"
    return ChallengeImage(key, image.label or 0, image.group, image.origin, "native", modes, name)


def _rows_file(folder: Path, chosen: ChallengeSet, observer: Observer) -> Path:
    return folder / f"rows-{observer.make}-{chosen.digest[:12]}.npz"


def _rendered_rows(chosen: ChallengeSet, settings: Settings, observer: Observer) -> Dataset | None:
    wanted = {image.id for image in chosen.images if image.source == "rendered"}
    if not wanted:
        return None
    queries = list(challenge_stream(_rendered_count(settings), settings.seed))
    kept = [(i, q) for i, q in enumerate(queries) if _scene_id(i, q.jpeg_bytes) in wanted]
    rows = observe_rendered(observer, [q for _, q in kept], [Split.TEST] * len(kept), "challenge scenes")
    ids = tuple(_scene_id(i, q.jpeg_bytes) for i, q in kept)
    return replace(rows, table=replace(rows.table, ids=ids))


def _starter_rows(chosen: ChallengeSet, settings: Settings, observer: Observer, pack: StarterPack) -> Dataset | None:
    wanted = {image.id for image in chosen.images if image.source == "starter"}
    if not wanted or not pack_fits(settings, pack):
        return None
    rows = starter_rows(pack, observer)
    return rows.select([i for i, name in enumerate(rows.table.ids) if name in wanted])


def _photo_rows(chosen: ChallengeSet, settings: Settings, observer: Observer) -> Iterator[Dataset]:
    """Sixteen photos at a time: a thousand at full size do not fit into memory."""
    photos = iter([image for image in chosen.images if image.source not in ("rendered", "starter")])
    root = settings.paths.home / (settings.challenge.folder or ".")
    while batch := list(islice(photos, _BATCH)):
        frames = [decode_image((root / image.source).read_bytes(), image.source) for image in batch]
        for image, frame in zip(batch, frames, strict=True):
            if not image.id.startswith(frame.sha256[:16]):
                raise DataError(
                    got=f"{image.source} with other bytes than when the set was made",
                    allowed="the photos the set was made from",
                    action="restore the photo",
                )
        features, evidence = observer.observe(frames, "challenge photos")
        table = FeatureTable.build(
            features,
            backbone=observer.models.backbone.name,
            preprocessing=observer.models.preprocessor.name,
            labels=[image.label for image in batch],
            ids=[image.id for image in batch],
            groups=[image.group for image in batch],
            origins=[image.origin for image in batch],
            eras=[image.era for image in batch],
            evidence=evidence,
            splits=[Split.TEST] * len(batch),
        )
        rows = tuple(
            Provenance(frame.sha256, str(root / image.source), "person", source="challenge set", modes=image.modes)
            for image, frame in zip(batch, frames, strict=True)
        )
        yield Dataset(table, rows, observer.detectors)


def _scene_id(number: int, jpeg_bytes: bytes) -> str:
    return f"challenge-{number}-{hashlib.sha256(jpeg_bytes).hexdigest()[:12]}"


def _rendered_count(settings: Settings) -> int:
    return max(8, round(RENDERED_SHARE * settings.loop.heldout_frames))
