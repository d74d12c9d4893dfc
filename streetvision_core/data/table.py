"""The one table everything in learning works on: features, labels and provenance, row by row.

Example:
    >>> table = FeatureTable.build(np.ones((2, 3)), backbone="b", preprocessing="p/1", labels=[1, 0])
    >>> len(table), table.select(table.labels == 1).labels.tolist()
    (2, [1])
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from streetvision_core.data._quantise import dequantise, quantise
from streetvision_core.errors import DataError, PreprocessMismatchError
from streetvision_core.storage import atomic_write_bytes
from streetvision_core.types import ERAS, Era, FloatArray, Split

UNKNOWN_LABEL: Final = -1
OLD_ERA_WEIGHT: Final = 0.05
"""Training weight of a challenge image against a whole picture. Blurred and rotated, it shows the camera better than
the devices; with greater weights photos are judged worse, and challenge images no better (docs/log.md)."""
_FORMAT: Final = "feature-table/1"
_TEXT_COLUMNS: Final = ("ids", "groups", "origins", "eras")
_NUMBER_COLUMNS: Final = ("labels", "levels", "evidence", "weights")


def era_weight(era: Era) -> float:
    """Training weight of a row of this era."""
    return 1.0 if era == "native" else OLD_ERA_WEIGHT


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Rows of one backbone and one preprocessing version.

    Attributes:
        ids: one name per row; an era variant of a photo has its own.
        features: float32 [N, D].
        labels: int8 [N]: 1 road work, 0 none, -1 unknown.
        groups: rows of one group are not independent and never stand in two splits.
        origins: data set or source of each row.
        eras: image regime of each row.
        levels: int8 [N], augmentation level 0..3.
        splits: one per row, or None before the assignment.
        evidence: float32 [N, E], in the order of `models.evidence.EVIDENCE_NAMES`; NaN where a stage did not run.
        weights: float32 [N], row weights for training.
        backbone: name of the backbone.
        preprocessing: name and version of the preprocessing.
    """

    ids: tuple[str, ...]
    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    groups: tuple[str, ...]
    origins: tuple[str, ...]
    eras: tuple[Era, ...]
    levels: npt.NDArray[np.int8]
    splits: tuple[Split, ...] | None
    evidence: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    backbone: str
    preprocessing: str

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.evidence.ndim != 2:
            raise _shape_error(f"features {self.features.shape}, evidence {self.evidence.shape}", "two axes each")
        n = len(self.ids)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("backbone", "preprocessing") and value is not None and len(value) != n:
                raise _shape_error(f"{len(value)} {field.name} for {n} ids", "one value per row in every column")
        if unknown := set(self.eras) - set(ERAS):
            raise _shape_error(f"eras {sorted(unknown)}", ", ".join(ERAS))

    @classmethod
    def build(
        cls,
        features: FloatArray,
        *,
        backbone: str,
        preprocessing: str,
        labels: Sequence[int] | npt.NDArray[Any] | None = None,
        ids: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        origins: Sequence[str] | None = None,
        eras: Sequence[Era] | None = None,
        levels: Sequence[int] | npt.NDArray[Any] | None = None,
        splits: Sequence[Split] | None = None,
        evidence: FloatArray | None = None,
        weights: FloatArray | None = None,
    ) -> FeatureTable:
        """Makes a table; what is left out becomes: unknown labels, own groups, native era, NaN evidence, weight 1."""
        from streetvision_core.models.evidence import EVIDENCE_NAMES

        n = len(features)
        names = tuple(ids) if ids is not None else tuple(str(i) for i in range(n))
        nothing = np.full((n, len(EVIDENCE_NAMES)), np.nan)
        return cls(
            ids=names,
            features=np.ascontiguousarray(features, dtype=np.float32),
            labels=np.asarray(labels if labels is not None else np.full(n, UNKNOWN_LABEL), dtype=np.int8),
            groups=tuple(groups) if groups is not None else names,
            origins=tuple(origins) if origins is not None else ("unknown",) * n,
            eras=tuple(eras) if eras is not None else cast("tuple[Era, ...]", ("native",) * n),
            levels=np.asarray(levels if levels is not None else np.zeros(n), dtype=np.int8),
            splits=tuple(splits) if splits is not None else None,
            evidence=np.asarray(evidence if evidence is not None else nothing, dtype=np.float32),
            weights=np.asarray(weights if weights is not None else np.ones(n), dtype=np.float32),
            backbone=backbone,
            preprocessing=preprocessing,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dim(self) -> int:
        """Number of feature columns, D."""
        return int(self.features.shape[1])

    def in_split(self, split: Split) -> npt.NDArray[np.bool_]:
        """Boolean mask [N] of one split's rows.

        Raises:
            DataError: the table has no splits yet.
        """
        if self.splits is None:
            raise DataError(
                got="a table without splits",
                allowed="a table whose rows are assigned to splits",
                action="assign them first with data.splits.assign_splits",
            )
        return np.array([s == split for s in self.splits], dtype=bool)

    def select(self, mask: npt.NDArray[Any] | Sequence[int]) -> FeatureTable:
        """The rows of a boolean mask [N], or of row numbers in their order."""
        rows = np.asarray(mask)
        if rows.dtype == bool and len(rows) != len(self):
            raise _shape_error(f"a mask of {len(rows)} for {len(self)} rows", "one value per row")
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        changes: dict[str, Any] = {name: _take(getattr(self, name), rows) for name in (*_TEXT_COLUMNS, "splits")}
        changes |= {name: getattr(self, name)[rows] for name in ("features", *_NUMBER_COLUMNS)}
        return replace(self, **changes)

    def save(self, path: Path, *, quantised: bool = False) -> None:
        """Writes an npz without pickles, by replace.

        Args:
            path: the file.
            quantised: store features as uint8 with a range per column (a quarter of the size, cosine > 0.999).
        """
        arrays: dict[str, npt.NDArray[Any]] = {name: np.array(getattr(self, name), str) for name in _TEXT_COLUMNS}
        arrays |= {name: getattr(self, name) for name in _NUMBER_COLUMNS}
        arrays["splits"] = np.array(self.splits if self.splits is not None else (), str)
        arrays |= quantise(self.features) if quantised else {"features": self.features}
        meta = {"format": _FORMAT, "backbone": self.backbone, "preprocessing": self.preprocessing}
        arrays["meta"] = np.array(json.dumps(meta | {"has_splits": self.splits is not None}))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        atomic_write_bytes(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> FeatureTable:
        """Reads what `save` wrote.

        Raises:
            DataError: the file is missing, broken or of another format.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            meta = json.loads(str(arrays["meta"]))
            if meta["format"] != _FORMAT:
                raise ValueError(f"format {meta['format']!r}")
            return _from_arrays(arrays, meta)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                got=f"{path.name}: {error}",
                allowed=f"a {_FORMAT} file",
                action="make the table again; see data/README.md",
                path=str(path),
            ) from error

    @staticmethod
    def concat(tables: Sequence[FeatureTable]) -> FeatureTable:
        """Puts tables under each other.

        Raises:
            PreprocessMismatchError: they differ in backbone or preprocessing.
            DataError: no table, or only some have splits.
        """
        if not tables:
            raise _shape_error("no table", "at least one")
        first = tables[0]
        for table in tables[1:]:
            _check_same_kind(first, table)
        changes: dict[str, Any] = {
            name: tuple(v for table in tables for v in getattr(table, name)) for name in _TEXT_COLUMNS
        }
        for name in ("features", *_NUMBER_COLUMNS):
            changes[name] = np.concatenate([getattr(table, name) for table in tables])
        if first.splits is not None:
            changes["splits"] = tuple(s for table in tables for s in table.splits or ())
        return replace(first, **changes)


def _take(values: tuple[Any, ...] | None, rows: npt.NDArray[np.int64]) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values[i] for i in rows)


def _from_arrays(arrays: dict[str, npt.NDArray[Any]], meta: dict[str, Any]) -> FeatureTable:
    from streetvision_core.models.evidence import widen

    features = arrays["features"] if "features" in arrays else dequantise(arrays)
    splits = tuple(Split(str(s)) for s in arrays["splits"]) if meta["has_splits"] else None
    return FeatureTable(
        ids=tuple(map(str, arrays["ids"])),
        features=features,
        labels=arrays["labels"],
        groups=tuple(map(str, arrays["groups"])),
        origins=tuple(map(str, arrays["origins"])),
        eras=tuple(cast("Era", str(era)) for era in arrays["eras"]),
        levels=arrays["levels"],
        splits=splits,
        evidence=widen(arrays["evidence"]),
        weights=arrays["weights"],
        backbone=meta["backbone"],
        preprocessing=meta["preprocessing"],
    )


def _check_same_kind(a: FeatureTable, b: FeatureTable) -> None:
    if (a.backbone, a.preprocessing, a.dim) != (b.backbone, b.preprocessing, b.dim):
        raise PreprocessMismatchError(
            got=f"rows of {b.backbone} {b.preprocessing} (D={b.dim})",
            allowed=f"rows of {a.backbone} {a.preprocessing} (D={a.dim})",
            action="extract both tables with the same profile",
        )
    if (a.splits is None) != (b.splits is None):
        raise _shape_error("splits in only some of the tables", "splits in all of them or in none")


def _shape_error(got: str, allowed: str) -> DataError:
    return DataError(got=got, allowed=allowed, action="mend the code that builds the table")
