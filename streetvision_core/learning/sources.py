"""The rows each source gives: the starter pack, folders of photographs, the query log, what was made to order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import structlog

from streetvision_core.data._evidence_rows import EvidenceMaker
from streetvision_core.data.build_starter import build_table
from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.observe import Observer
from streetvision_core.data.sources import FolderSource, LabelledImage, read_labels
from streetvision_core.data.starter import StarterPack
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, StreetVisionError
from streetvision_core.images.decode import decode_image
from streetvision_core.labels.values import Source
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.learning.measured import split_of_group, split_of_photos
from streetvision_core.learning.rendered import PACK_DETECTORS, rendered_row
from streetvision_core.mining.balance import hard_weights
from streetvision_core.mining.querylog import QueryLog, QueryRow
from streetvision_core.mining.select import MinedSet
from streetvision_core.models.evidence import keep_evidence
from streetvision_core.settings import Settings
from streetvision_core.training.weights import PSEUDO
from streetvision_core.types import Frame, Split

MADE_FILES: Final = ("synthetic.npz", "generated.npz", "pseudo.npz")
RANDOM_PROBE: Final = "random probe"
RENDERED_ORIGINS: Final = ("rendered-drive", "rendered-scene")
"""Origins of the demo stream's queries in the log."""
_log = structlog.get_logger(__name__)


class KnownLabel(Protocol):
    """What is known of an image, as the label store answers."""

    @property
    def label(self) -> int | None:
        """1 road work, 0 none, None where it was set aside."""

    @property
    def source(self) -> Source:
        """Who said so."""


def pack_fits(settings: Settings, pack: StarterPack) -> bool:
    """Whether the pack's features are those of the profile's backbone and preprocessing; no model is loaded."""
    models = settings.models
    return (pack.table.backbone, pack.table.preprocessing) == (models.backbone, models.preprocessing)


def check_photographs(settings: Settings, pack: StarterPack) -> None:
    """Makes sure, before any work, that the profile has photographs to learn from.

    Raises:
        DataError: the pack is of another backbone or preprocessing, and no folder of photographs is named.
    """
    if not pack_fits(settings, pack) and not settings.learning.photos:
        models = settings.models
        raise DataError(
            got=f"no photograph that {models.backbone} with {models.preprocessing} can learn from: the starter pack "
            f"holds features of {pack.table.backbone} with {pack.table.preprocessing}, and no photos",
            allowed="a folder with subfolders roadwork/ and none/, or one with a labels.csv",
            action="name it: SV_LEARNING__PHOTOS='[\"FOLDER\"]', or stay with --profile embedded",
            profile=settings.profile,
        )


def starter_rows(pack: StarterPack, observer: Observer) -> Dataset:
    """The starter pack's photographs and, as TRAIN rows of small weight, what was composed from them.

    Where the profile's detectors are not those behind the pack's evidence, what the others said is left out: numbers of
    other detectors mean something else.
    """
    table = pack.training_table()
    made_by = tuple(pack.manifest.get("detectors", PACK_DETECTORS))
    table = replace(table, evidence=keep_evidence(table.evidence, made_by, observer.detectors))
    rows = [
        Provenance(name, licence=licence, source="starter pack")
        for name, licence in zip(pack.table.ids, pack.licences, strict=True)
    ]
    licence_of = dict(zip(pack.table.origins, pack.licences, strict=True))
    rows += [
        replace(rendered_row(name, "starter pack"), licence=licence_of.get(origin.split(" (")[0], "see ATTRIBUTION.md"))
        for name, origin in zip(pack.composed.ids, pack.composed.origins, strict=True)
    ]
    return Dataset(table, tuple(rows), observer.detectors)


def photo_rows(folder: Path, observer: Observer) -> Dataset:
    """Every labelled photograph of a folder, natively and in the older eras, with splits by group.

    Weight 0 where a photograph may not train shipped weights: such rows are answered, never learned from.

    Args:
        folder: with a `labels.csv`, or with subfolders `roadwork` and `none`.
        observer: whose features and evidence.

    Raises:
        DataError: no labelled photograph.
    """
    images = [image for image in _images(folder) if image.label is not None]
    maker = EvidenceMaker(observer.models, observer.ocr_min_width_pixels)
    table = build_table(images, folder, observer.models, FeatureStore(observer.store), maker)
    known = {image.path.relative_to(folder).as_posix(): image for image in images}
    of_row = [known[name.split("#")[0]] for name in table.ids]
    weights = np.array([image.may_train for image in of_row], np.float32)
    # what a detector was trained on must not calibrate or test it
    pairs = zip(of_row, table.groups, strict=True)
    seen = {group for image, group in pairs if image.group in observer.models.seen_groups}
    splits = tuple(Split.TRAIN if group in seen else split_of_photos(group) for group in table.groups)
    rows = [
        Provenance(name, str(image.path), "person", licence=image.licence, source=f"photos: {folder.name}")
        for name, image in zip(table.ids, of_row, strict=True)
    ]
    table = replace(table, weights=table.weights * weights, splits=splits)
    return Dataset(table, tuple(rows), observer.detectors)


def logged_rows(
    queries: Sequence[QueryRow],
    labels: Mapping[str, KnownLabel],
    log: QueryLog,
    observer: Observer,
    hard_weight: float,
) -> dict[str, Dataset]:
    """Every logged image whose label is known, by the UTC day it first came, whenever the label was given.

    An image that cannot be read any more is left out, and the log says which.

    Args:
        queries: logged queries, in the order of logging.
        labels: by the image's sha256.
        log: the query log, for the images.
        observer: whose features and evidence; what is not stored is observed now.
        hard_weight: weight of a row that the serving version got wrong.
    """
    first: dict[str, QueryRow] = {}
    for query in queries:
        if query.sha256 in labels and labels[query.sha256].label is not None:
            first.setdefault(query.sha256, query)
    days: dict[str, list[QueryRow]] = defaultdict(list)
    for query in first.values():
        days[query.day].append(query)
    made = {day: _logged(rows, labels, log, observer, hard_weight) for day, rows in sorted(days.items())}
    return {day: rows for day, rows in made.items() if rows is not None}


def _logged(
    queries: Sequence[QueryRow],
    labels: Mapping[str, KnownLabel],
    log: QueryLog,
    observer: Observer,
    hard_weight: float,
) -> Dataset | None:
    def read(digest: str) -> Frame | None:
        try:
            return decode_image(log.image(digest), digest)
        except StreetVisionError as error:
            _log.warning("labelled_query_left_out", image=digest, got=error.got, do=error.action)
            return None

    seen = observer.observe_stored([query.sha256 for query in queries], read, "labelled queries")
    rows = [query for query in queries if query.sha256 in seen]
    if not rows:
        return None
    features, evidence = (np.stack([seen[row.sha256][i] for row in rows]) for i in (0, 1))
    y = np.array([labels[row.sha256].label for row in rows], np.int8)
    answers = np.array([row.verdict.p_roadwork for row in rows])
    table = FeatureTable.build(
        features,
        backbone=observer.models.backbone.name,
        preprocessing=observer.models.preprocessor.name,
        labels=y,
        ids=[f"{row.day}/{row.name}" for row in rows],
        groups=[row.group for row in rows],
        origins=[f"stream: {row.origin}" for row in rows],
        eras=[row.era for row in rows],
        evidence=evidence,
        splits=[split_of_group(row.group) for row in rows],
        weights=hard_weights(y, answers, hard_weight),
    )
    sources = [
        Provenance(
            row.sha256,
            str(log.images.path(row.sha256)),
            labels[row.sha256].source,
            world="rendered" if row.origin in RENDERED_ORIGINS else "real",
            source="query log",
            modes=row.modes,
        )
        for row in rows
    ]
    return Dataset(table, tuple(sources), observer.detectors)


def drawn_by_probe(mined: Sequence[MinedSet], queries: Sequence[QueryRow]) -> dict[str, str]:
    """The real images that the blind random probe has drawn so far: group by sha256.

    Args:
        mined: what each night has chosen.
        queries: the logged queries.
    """
    by_name = {query.name: query for query in queries}
    found = (by_name.get(item.id) for one in mined for item in one.items if RANDOM_PROBE in item.reasons)
    return {query.sha256: query.group for query in found if query and query.origin not in RENDERED_ORIGINS}


def made_rows(folder: Path, observer: Observer) -> Dataset | None:
    """What a night has made to order or had labelled by a teacher: rendered, drawn and pseudo-labelled rows."""
    tables = [FeatureTable.load(folder / name) for name in MADE_FILES if (folder / name).exists()]
    if not tables:
        return None
    table = FeatureTable.concat(tables)
    rows = [
        Provenance(name, labelled_by="machine", source="teacher")
        if origin.startswith(PSEUDO)
        else rendered_row(name, "made to order")
        for name, origin in zip(table.ids, table.origins, strict=True)
    ]
    return Dataset(table, tuple(rows), observer.detectors)


def _images(folder: Path) -> list[LabelledImage]:
    if (folder / "labels.csv").is_file():
        return read_labels(folder)
    return FolderSource(folder, may_train=True).images()
