"""Makes the starter pack from the street photos.

    python -m streetvision_core.data.build_starter --streets PATH --out data/starter

A stopped run goes on where it was: features and evidence lie in the feature store. The same photos and models give the
same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import structlog
from rich.progress import track

from streetvision_core.data._attribution import SOURCES
from streetvision_core.data._composed import build_composed
from streetvision_core.data._evidence_rows import EvidenceMaker, Row, no_evidence
from streetvision_core.data._starter_files import write_pack
from streetvision_core.data._variants import variants
from streetvision_core.data.feature_store import FeatureStore, store_path
from streetvision_core.data.sources import LabelledImage, read_labels
from streetvision_core.data.splits import assign_splits, check_no_leak, join_near_duplicates
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, StreetVisionError
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.settings import load_settings
from streetvision_core.types import Era, Split

_log = structlog.get_logger()
NEAR_DUPLICATE_COSINE: Final = 0.985


class _Sample(NamedTuple):
    name: str
    photo: LabelledImage
    era: Era
    level: int
    weight: float
    features: Row
    evidence: Row


def usable(images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """The photos that may go in: a binary label, allowed to train shipped weights, of a known and attributed origin."""
    return [
        image
        for image in images
        if image.label is not None and image.may_train and image.origin in SOURCES and "unknown" not in image.note
    ]


def build_table(
    images: Sequence[LabelledImage],
    root: Path,
    models: ModelSet,
    store: FeatureStore,
    evidence: EvidenceMaker | None = None,
) -> FeatureTable:
    """Extracts every variant of every photo and assigns the splits.

    Args:
        images: the photos, see `usable`.
        root: rows are named by paths from here.
        models: backbone and preprocessing.
        store: keeps features and evidence between runs.
        evidence: runs the later stages; None leaves their columns NaN.

    Raises:
        DataError: no photo.
    """
    if not images:
        raise DataError("no usable photo", "labelled photos that may train shipped weights", "check labels.csv")
    rows: list[_Sample] = []
    for photo in track(images, description="starter pack"):
        made = list(variants(photo.read(), photo.path.relative_to(root).as_posix()))
        features = store.features([v.frame for v in made], models.backbone, models.preprocessor)
        for variant, row in zip(made, features, strict=True):
            seen = evidence.row(variant.frame, store) if evidence else no_evidence()
            rows.append(_Sample(variant.name, photo, variant.era, variant.level, variant.weight, row, seen))
    return _table(rows, models)


def _table(rows: list[_Sample], models: ModelSet) -> FeatureTable:
    features = np.stack([row.features for row in rows])
    half = features[:, : models.backbone.dim]
    native = np.array([row.era == "native" for row in rows])
    groups = _joined([row.photo.group for row in rows], half, native)
    strata = [f"{row.photo.origin}|{row.photo.label}" for row in rows]
    # what a detector was trained on must not calibrate or test it
    seen = {group for row, group in zip(rows, groups, strict=True) if row.photo.group in models.seen_groups}
    splits = assign_splits(groups, strata, pinned=dict.fromkeys(seen, Split.TRAIN))
    check_no_leak(groups, splits)
    check_no_leak(
        [g for g, n in zip(groups, native, strict=True) if n],
        [s for s, n in zip(splits, native, strict=True) if n],
        half[native],
        NEAR_DUPLICATE_COSINE,
    )
    return FeatureTable.build(
        features,
        backbone=models.backbone.name,
        preprocessing=models.preprocessor.name,
        ids=[row.name for row in rows],
        labels=[row.photo.label if row.photo.label is not None else -1 for row in rows],
        groups=groups,
        origins=[row.photo.origin for row in rows],
        eras=[row.era for row in rows],
        levels=[row.level for row in rows],
        splits=splits,
        evidence=np.stack([row.evidence for row in rows]),
        weights=np.array([row.weight for row in rows], np.float32),
    )


def _joined(groups: list[str], half: np.ndarray[Any, Any], native: np.ndarray[Any, Any]) -> list[str]:
    """Joins near-duplicates among the photos; their challenge images follow."""
    own = [group for group, n in zip(groups, native, strict=True) if n]
    joined = dict(zip(own, join_near_duplicates(own, half[native], NEAR_DUPLICATE_COSINE), strict=True))
    return [joined[group] for group in groups]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build_starter", description="Make the starter pack from the street photos.")
    parser.add_argument("--streets", type=Path, help="folder with labels.csv (default: paths.streets)")
    parser.add_argument("--out", type=Path, help="folder to write (default: starter in paths.data)")
    parser.add_argument("--without-evidence", action="store_true", help="run stage 1 only")
    chosen = parser.parse_args(arguments)
    try:
        manifest = _build(chosen.streets, chosen.out, with_evidence=not chosen.without_evidence)
    except StreetVisionError as error:
        _log.error("starter.failed", **error.to_dict())
        return 1
    _log.info("starter.built", **{k: manifest[k] for k in ("rows", "dim", "preprocessing")})
    return 0


def _build(streets: Path | None, out: Path | None, *, with_evidence: bool) -> dict[str, Any]:
    settings = load_settings()
    root = streets if streets is not None else settings.paths.resolve("streets")
    data = settings.paths.resolve("data")
    images = usable(read_labels(root))
    models = load_models(settings)
    evidence = EvidenceMaker(models, settings.cascade.ocr_min_width_pixels) if with_evidence else None
    store = FeatureStore(store_path(settings))
    table = build_table(images, root, models, store, evidence)
    train = {name for name, used in zip(table.ids, table.in_split(Split.TRAIN), strict=True) if used}
    backgrounds = [image for image in images if f"{image.path.relative_to(root).as_posix()}#native" in train]
    composed = build_composed(backgrounds, root, table, models, store)
    licences = {image.origin: image.licence for image in images}
    return write_pack(table, composed, licences, out if out is not None else data / "starter")


if __name__ == "__main__":
    raise SystemExit(main())
