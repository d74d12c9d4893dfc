"""The challenge set of a workspace: made once, checked at each run; `facing` puts versions before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.challenge_set import (
    SET_FILE,
    ChallengeImage,
    ChallengeSet,
    TrainedGroups,
    choose,
    load_challenge_set,
)
from streetvision_core.data.sources import FolderSource, LabelledImage
from streetvision_core.data.starter import load_starter
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.images.decode import decode_image, read_image
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.rendered import RENDERED, observe_queries
from streetvision_core.mining.modes import tag
from streetvision_core.mining.stream import challenge_stream
from streetvision_core.types import Split

RENDERED_SHARE: Final = 1 / 25
"""Rendered challenge scenes for each held-out one; they stand in until a folder of photos is there."""
_CANDIDATES_PER_IMAGE: Final = 3
_BATCH: Final = 16


def challenge_set(day: Day) -> tuple[ChallengeSet, FeatureTable]:
    """The workspace's challenge set and its rows, checked against everything that ever taught.

    Made at the first call: from `challenge.folder` where that is set, else from rendered scenes of their own seeds and
    the starter pack's real TEST photos.

    Raises:
        LeakError: something of it has taught.
        ManifestError: the set is not the one that was made.
    """
    folder = challenge_folder(day)
    if not (folder / SET_FILE).exists():
        _make(day).save(folder)
    chosen = load_challenge_set(folder)
    return chosen, _rows(day, chosen)


def remember_taught(day: Day, table: FeatureTable) -> None:
    """Notes the groups that teach from now on, and makes sure that none of them is in the challenge set.

    Args:
        day: the day.
        table: the learning table; TRAIN, SELECT and CALIBRATE teach, TEST does not.

    Raises:
        LeakError: a row of the challenge set would teach; nothing is noted then.
    """
    teaching = table.select(~table.in_split(Split.TEST))
    chosen, rows = challenge_set(day)
    trained = _trained(day)
    chosen.check_disjoint(trained, teaching, rows)
    trained.add(teaching.groups)


def _make(day: Day) -> ChallengeSet:
    folder, n = day.settings.challenge.folder, day.settings.challenge.images
    trained = _trained(day)
    if folder is not None:
        source = day.workspace.home / folder
        images = [image for image in FolderSource(source) if image.label is not None and image.group not in trained]
        if not images:
            raise DataError(
                got=f"no labelled image in {source} that has not taught",
                allowed="subfolders roadwork and none with photos nobody trained on",
                action="set challenge.folder to such a folder, or unset it",
            )
        picked = np.random.default_rng(day.settings.seed).permutation(len(images))[: n * _CANDIDATES_PER_IMAGE]
        return choose([_photo(images[i], source) for i in sorted(picked)], n, day.settings.seed)
    rendered = list(challenge_stream(_rendered_count(day), day.settings.seed))
    scenes = [
        ChallengeImage(_scene_id(i, q.jpeg_bytes), q.truth, q.group, RENDERED, q.era, q.modes, "rendered")
        for i, q in enumerate(rendered)
    ]
    return choose([*scenes, *_starter_images(day)], n, day.settings.seed)


def _photo(image: LabelledImage, root: Path) -> ChallengeImage:
    frame = read_image(image.path)
    name = image.path.relative_to(root).as_posix()
    return ChallengeImage(
        f"{frame.sha256[:16]}:{name}",
        image.label or 0,
        image.group,
        image.origin,
        "native",
        tuple(sorted(tag(frame))),
        name,
    )


def _starter_images(day: Day) -> list[ChallengeImage]:
    table = load_starter().table
    if (table.backbone, table.preprocessing) != (day.models.backbone.name, day.models.preprocessor.name):
        return []  # the pack holds features, not photos: another backbone cannot see them
    rows = table.select(_native_test(table))
    pairs = zip(rows.ids, rows.labels, rows.groups, rows.origins, strict=True)
    return [ChallengeImage(i, int(y), g, o, "native", (), "starter") for i, y, g, o in pairs]


def _native_test(table: FeatureTable) -> npt.NDArray[np.bool_]:
    native = np.array([era == "native" for era in table.eras])
    return np.asarray(table.in_split(Split.TEST) & native & (table.labels >= 0), np.bool_)


def _rows(day: Day, chosen: ChallengeSet) -> FeatureTable:
    """The set's rows by this day's models, made once per make of models."""
    path = challenge_folder(day) / f"rows-{day.make}-{chosen.digest[:12]}.npz"
    if not path.exists():
        _observe(day, chosen).save(path)
    table = FeatureTable.load(path)
    if table.ids != tuple(image.id for image in chosen.images):
        raise DataError(
            got=f"{path.name}, whose rows are not those of the challenge set",
            allowed="rows made from the set",
            action=f"remove {path}; it is made again",
        )
    return table


def _observe(day: Day, chosen: ChallengeSet) -> FeatureTable:
    tables = [t for t in (_rendered_rows(day, chosen), _starter_rows(chosen), *_photo_rows(day, chosen)) if t]
    together = FeatureTable.concat(tables)
    where = {name: row for row, name in enumerate(together.ids)}
    return together.select([where[image.id] for image in chosen.images])


def _rendered_rows(day: Day, chosen: ChallengeSet) -> FeatureTable | None:
    wanted = {image.id for image in chosen.images if image.source == "rendered"}
    if not wanted:
        return None
    queries = list(challenge_stream(_rendered_count(day), day.settings.seed))
    kept = [(i, q) for i, q in enumerate(queries) if _scene_id(i, q.jpeg_bytes) in wanted]
    table = observe_queries(day, [q for _, q in kept], [Split.TEST] * len(kept), "challenge scenes")
    return replace(table, ids=tuple(_scene_id(i, q.jpeg_bytes) for i, q in kept))


def _starter_rows(chosen: ChallengeSet) -> FeatureTable | None:
    wanted = {image.id for image in chosen.images if image.source == "starter"}
    table = load_starter().table
    return table.select([i for i, name in enumerate(table.ids) if name in wanted]) if wanted else None


def _photo_rows(day: Day, chosen: ChallengeSet) -> Iterator[FeatureTable]:
    """Sixteen photos at a time: a thousand at full size do not fit into memory."""
    photos = iter([image for image in chosen.images if image.source not in ("rendered", "starter")])
    root = day.workspace.home / (day.settings.challenge.folder or ".")
    while batch := list(islice(photos, _BATCH)):
        frames = [decode_image((root / image.source).read_bytes(), image.source) for image in batch]
        for image, frame in zip(batch, frames, strict=True):
            if not image.id.startswith(frame.sha256[:16]):
                raise DataError(
                    got=f"{image.source} with other bytes than when the set was made",
                    allowed="the photos the set was made from",
                    action="restore the photo",
                )
        features, evidence = day.observe(frames, "challenge photos")
        yield FeatureTable.build(
            features,
            backbone=day.models.backbone.name,
            preprocessing=day.models.preprocessor.name,
            labels=[image.label for image in batch],
            ids=[image.id for image in batch],
            groups=[image.group for image in batch],
            origins=[image.origin for image in batch],
            eras=[image.era for image in batch],
            evidence=evidence,
            splits=[Split.TEST] * len(batch),
        )


def _scene_id(number: int, jpeg_bytes: bytes) -> str:
    return f"challenge-{number}-{hashlib.sha256(jpeg_bytes).hexdigest()[:12]}"


def _rendered_count(day: Day) -> int:
    return max(8, round(RENDERED_SHARE * day.settings.loop.heldout_frames))


def _trained(day: Day) -> TrainedGroups:
    trained = TrainedGroups(day.workspace.data / "challenge" / "taught.txt")
    trained.add(day.models.seen_groups)
    return trained


def challenge_folder(day: Day) -> Path:
    """Where the set lies, beside what has been seen of it."""
    return day.workspace.data / "challenge"
