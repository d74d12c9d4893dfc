"""A user's own labelled photographs: read, observed, and a version calibrated on them, with what that changed.

Example, as `streetvision calibrate DATASET` makes the calls:

    images = read_photographs(Path("my-street"))
    table, unreadable = observe_photographs(images, Observer.of(settings), settings.mining.near_duplicate_cosine)
    result = calibrate_on_photographs(head, calibration, table, settings)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.cascade.calibration import SMALL_PIXELS, CascadeCalibration
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import predict_table
from streetvision_core.cascade.recalibrate import LEAST_GROUPS, groups_by_class, recalibrate
from streetvision_core.data.labelled_csv import read_labelled_csv
from streetvision_core.data.observe import Observer
from streetvision_core.data.sources import FolderSource, LabelledImage, read_labels
from streetvision_core.data.splits import join_near_duplicates
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import CalibrationError, DataError, ImageError
from streetvision_core.learning.photo_quality import Quality, measure_quality
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings
from streetvision_core.training.folds import group_folds

FOLDS: Final = 5
MANY_GROUPS: Final = 20
"""Groups of each class from which the intervals begin to say something."""
_BATCH: Final = 16

Progress = Callable[[int, int], None]


def read_photographs(path: Path) -> list[LabelledImage]:
    """The labelled photographs of a folder or a CSV file.

    Args:
        path: a folder with subfolders `roadwork` and `none` (a folder below those is a group), a folder with a
            `labels.csv` like that of the street photos, or a CSV with the columns `path`, `label` and perhaps `group`.

    Raises:
        DataError: nothing there is labelled, or the CSV is not as it should be.
        NoImagesError: the folder holds no image.
    """
    if path.is_file():
        images = read_labelled_csv(path)
    elif (path / "labels.csv").is_file():
        images = read_labels(path)
    else:
        images = FolderSource(path).images()
    labelled = [image for image in images if image.label is not None]
    if not labelled:
        raise DataError(
            got=f"no labelled photograph in {path}",
            allowed="subfolders roadwork/ and none/, or a CSV with the columns path and label",
            action="sort the photographs into such folders, or write such a file",
            path=str(path),
        )
    return labelled


def leave_out_taught(table: FeatureTable, taught: Collection[str], unreadable: list[str]) -> FeatureTable:
    """Leaves out photographs that trained a head here: it answers them too well to say anything of others.

    Args:
        table: photographs, their ids the sha256 of their bytes.
        taught: sha256 of images that teach.
        unreadable: what was left out is noted here, for the reader.

    Raises:
        DataError: nothing is left.
    """
    kept = np.array([name not in taught for name in table.ids], bool)
    if not kept.any():
        raise DataError(
            got=f"{len(table)} photographs, all of which trained the head",
            allowed="photographs that nothing here has learned from",
            action="take others; those that measure (`learning.measured_share`) calibrate every night anyway",
        )
    if not kept.all():
        unreadable.append(f"{int((~kept).sum())} photographs that trained the head")
    return table.select(kept)


def observe_photographs(
    images: Sequence[LabelledImage],
    observer: Observer,
    near_duplicate_cosine: float,
    progress: Progress | None = None,
) -> tuple[FeatureTable, list[str]]:
    """Runs every stage on photographs; near-duplicates become one group.

    Args:
        images: the photographs.
        observer: whose features and evidence.
        near_duplicate_cosine: from here on two photographs are near-duplicates.
        progress: called with photographs done and in all.

    Returns:
        One row for each photograph that could be read, and what was wrong with the others.

    Raises:
        DataError: none could be read.
    """
    parts: list[FeatureTable] = []
    unreadable: list[str] = []
    for start in range(0, len(images), _BATCH):
        some = images[start : start + _BATCH]
        if part := _observe(some, observer, unreadable):
            parts.append(part)
        if progress is not None:
            progress(min(start + _BATCH, len(images)), len(images))
    if not parts:
        raise DataError(
            got=f"{len(images)} files, none of which can be read ({unreadable[0]})",
            allowed="photographs in a format we decode",
            action="look at the first of them with: streetvision predict FILE",
        )
    table = FeatureTable.concat(parts)
    view = table.features[:, : observer.models.backbone.dim]
    groups = join_near_duplicates(table.groups, view, near_duplicate_cosine)
    return replace(table, groups=tuple(groups)), unreadable


@dataclass(frozen=True, slots=True, eq=False)
class PhotoCalibration:
    """A version calibrated on photographs, and what that changed.

    Attributes:
        calibration: the new one, from all of the photographs.
        before: the version as it was; it has not seen these photographs.
        after: the new way, each photograph answered by a calibration made from other groups.
        photographs: how many.
        groups: independent groups with road work (1) and without (0).
        warnings: what a reader must know before trusting the figures.
    """

    calibration: CascadeCalibration
    before: Quality
    after: Quality
    photographs: int
    groups: dict[int, int]
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        groups = {"roadwork": self.groups[1], "none": self.groups[0]}
        return {
            "photographs": self.photographs,
            "groups": groups,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "made_with": self.calibration.made_with.to_dict(),
            "exits": {stage: band.reason for stage, band in self.calibration.bands.items()},
            "warnings": list(self.warnings),
        }


def calibrate_on_photographs(
    head: Head, calibration: CascadeCalibration, table: FeatureTable, settings: Settings
) -> PhotoCalibration:
    """Calibrates a version on photographs that taught it nothing, and compares before with after.

    Args:
        head: the version's.
        calibration: the version's.
        table: the photographs, labelled.
        settings: exits, scoring and the seed.

    Raises:
        CalibrationError: too few independent groups of a class to mean anything.
    """
    made = recalibrate(calibration, head, table, settings)
    policy = settings.cascade.policy
    before = predict_table(table, head, calibration, policy)
    after, folds = _cross_fitted(head, calibration, table, settings)
    groups = groups_by_class(table, table.labels >= 0)
    return PhotoCalibration(
        made,
        measure_quality(before, table, calibration.threshold),
        measure_quality(after, table, made.threshold),
        len(table),
        groups,
        tuple(_warnings(groups, folds, made)),
    )


def _observe(images: Sequence[LabelledImage], observer: Observer, unreadable: list[str]) -> FeatureTable | None:
    frames, kept = [], []
    for image in images:
        try:
            frames.append(image.read())
            kept.append(image)
        except ImageError as error:
            unreadable.append(f"{image.path.name}: {error.got}")
    if not frames:
        return None
    features, evidence = observer.observe(frames)
    return FeatureTable.build(
        features,
        backbone=observer.models.backbone.name,
        preprocessing=observer.models.preprocessor.name,
        labels=[image.label or 0 for image in kept],
        ids=[frame.sha256 for frame in frames],
        groups=[image.group for image in kept],
        origins=[image.origin for image in kept],
        eras=["native" if max(frame.width, frame.height) > SMALL_PIXELS else "crop-224" for frame in frames],
        evidence=evidence,
    )


def _cross_fitted(
    head: Head, calibration: CascadeCalibration, table: FeatureTable, settings: Settings
) -> tuple[Decisions, int]:
    """Each row's answer by a calibration of other groups; where a fold cannot calibrate, by the old one."""
    k = min(FOLDS, *groups_by_class(table, table.labels >= 0).values())
    fold = group_folds(table.groups, table.labels, k, settings.seed)
    parts, done = [], 0
    for f in range(k):
        held = np.flatnonzero(fold == f)
        try:
            made, done = recalibrate(calibration, head, table.select(fold != f), settings), done + 1
        except CalibrationError:
            made = calibration
        parts.append((held, predict_table(table.select(held), head, made, settings.cascade.policy)))
    return Decisions.merge(parts, len(table), settings.cascade.policy), done


def _warnings(groups: dict[int, int], folds: int, made: CascadeCalibration) -> list[str]:
    found = []
    if min(groups.values()) < MANY_GROUPS:
        found.append(
            f"few photographs: {groups[1]} independent groups with road work and {groups[0]} without; read the "
            f"intervals, from {MANY_GROUPS} of each they begin to say something"
        )
    if folds < min(FOLDS, *groups.values()):
        found.append(f"only {folds} of the folds held {LEAST_GROUPS} groups of each class: `after` is partly `before`")
    if not any(band.certified for band in made.bands.values()):
        found.append("no stage may end early: too few independent photographs to certify an exit")
    return found
