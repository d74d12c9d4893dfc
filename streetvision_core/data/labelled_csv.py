"""A CSV of a user's own: the path of each photograph, its label and, if known, its group."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from streetvision_core.data.sources import LabelledImage
from streetvision_core.errors import DataError

LABELS: Final = {"roadwork": 1, "road work": 1, "1": 1, "yes": 1, "none": 0, "0": 0, "no": 0}
_SEPARATORS: Final = ",;\t"


def read_labelled_csv(path: Path) -> list[LabelledImage]:
    """Reads photographs and labels.

    Args:
        path: with the columns `path` and `label`, and if wanted `group`; separated by comma, semicolon or tab. Paths
            count from the file's folder. Lines without a label are left out.

    Raises:
        DataError: the file cannot be read, a column is missing, a label is unknown or a photograph does not exist; the
            message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"{path.name}: {error}", "a UTF-8 CSV file") from error
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=separator, restval="")
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := {"path", "label"} - set(names):
        raise _wrong(path, f"{path.name}: no column {', '.join(sorted(missing))}", "the columns path, label and group")
    rows = ({name: (value or "").strip() for name, value in zip(names, row.values(), strict=False)} for row in reader)
    return [_image(row, path, line) for line, row in enumerate(rows, 2) if row["label"]]


def _image(row: dict[str, str], path: Path, line: int) -> LabelledImage:
    label = LABELS.get(row["label"].lower())
    if label is None:
        raise _wrong(path, f"label {row['label']!r} in line {line} of {path.name}", ", ".join(LABELS))
    image = path.parent / row["path"]
    if not image.is_file():
        raise _wrong(
            path, f"{row['path']!r} in line {line} of {path.name}, which does not exist", "paths of photographs"
        )
    group, kind = row.get("group") or row["path"], "roadwork" if label else "none"
    return LabelledImage(image, label, group, path.stem, "unknown", False, kind=kind)  # type: ignore[arg-type]


def _wrong(path: Path, got: str, allowed: str) -> DataError:
    return DataError(got=got, allowed=allowed, action=f"correct {path}", path=str(path))
