"""Where labelled images come from: the street photos' labels.csv, or any folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from streetvision_core.errors import DataError
from streetvision_core.images.decode import read_image
from streetvision_core.images.folders import list_images
from streetvision_core.images.lists import read_table
from streetvision_core.types import Frame

LabelKind = Literal["roadwork", "none", "ambiguous", "objects", "unknown"]
"""`ambiguous` is left out of binary scores; `objects` are cut-outs and object photos, for detectors only."""

_BINARY: Final[dict[str, int]] = {"roadwork": 1, "none": 0}
_COLUMNS: Final = ("path", "label", "group", "origin", "licence", "may_train_shipped_weights", "note")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image file with its label and where it comes from.

    Attributes:
        path: the image file.
        label: 1 road work, 0 none, None where it has no binary label.
        group: images of one group are not independent.
        origin: the data set or source.
        licence: as its source states it.
        may_train: whether weights trained on it may be shipped.
        note: the labeller's remark.
        kind: the label as it was given.
    """

    path: Path
    label: int | None
    group: str
    origin: str
    licence: str
    may_train: bool
    note: str = ""
    kind: LabelKind = "unknown"

    def read(self) -> Frame:
        """Decodes the image; any failure is a named `ImageError`."""
        return read_image(self.path)


def read_labels(streets_root: Path) -> list[LabelledImage]:
    """Reads labels.csv of the street photos.

    Args:
        streets_root: the folder that holds labels.csv and the photos.

    Raises:
        DataError: the file is missing, a column is missing, a label is unknown or a photo does not exist.
    """
    path = streets_root / "labels.csv"
    if not path.is_file():
        raise DataError(
            got=f"no {path.name} in {streets_root}",
            allowed="the folder of street photos with its labels.csv",
            action="set SV_PATHS__STREETS to that folder",
            path=str(path),
        )
    header, rows = read_table(path)
    if missing := set(_COLUMNS) - set(header):
        raise _wrong(path, f"no column {', '.join(sorted(missing))}", f"the columns {', '.join(_COLUMNS)}")
    return [_from_row(row, streets_root, path, line) for line, row in enumerate(rows, start=2)]


def _from_row(row: dict[str, str], root: Path, csv_path: Path, line: int) -> LabelledImage:
    kind = next((k for k in get_args(LabelKind) if k == row["label"]), None)
    if kind is None:
        raise _wrong(csv_path, f"label {row['label']!r} in line {line}", ", ".join(get_args(LabelKind)))
    image = root / row["path"]
    if not image.is_file():
        raise _wrong(csv_path, f"{row['path']!r} in line {line}, which does not exist", "paths of photos beside it")
    return LabelledImage(
        path=image,
        label=_BINARY.get(kind),
        group=row["group"],
        origin=row["origin"],
        licence=row["licence"],
        may_train=row["may_train_shipped_weights"] == "yes",
        note=row["note"],
        kind=kind,
    )


def _wrong(path: Path, got: str, allowed: str) -> DataError:
    return DataError(got=f"{path.name}: {got}", allowed=allowed, action=f"mend {path}", path=str(path))


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Any folder of images; subfolders named `roadwork` and `none` give labels.

    A folder below those (`roadwork/drive-7/…`) is a group, as a drive or a clip is; otherwise each image is its own.

    Attributes:
        path: the folder.
        origin: what to call the source; the folder's name unless given.
        licence: of the images.
        may_train: whether weights trained on them may be shipped.
    """

    path: Path
    origin: str = ""
    licence: str = "unknown"
    may_train: bool = False

    def images(self) -> list[LabelledImage]:
        """Lists the images, sorted by path.

        Raises:
            NoImagesError: the folder holds no image.
        """
        return [self._labelled(path) for path in list_images(self.path)]

    def __iter__(self) -> Iterator[LabelledImage]:
        return iter(self.images())

    def _labelled(self, path: Path) -> LabelledImage:
        folders = path.relative_to(self.path).parts[:-1]
        kind: LabelKind = next((k for k in get_args(LabelKind) if folders and k == folders[0]), "unknown")
        clip = folders[1:] if kind != "unknown" else folders
        origin = self.origin or self.path.resolve().name
        group = "/".join([origin, *clip]) if clip else path.relative_to(self.path).as_posix()
        return LabelledImage(
            path=path,
            label=_BINARY.get(kind),
            group=group,
            origin=origin,
            licence=self.licence,
            may_train=self.may_train,
            kind=kind,
        )
