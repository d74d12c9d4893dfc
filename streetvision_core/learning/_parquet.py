"""A dataset as one Parquet file: plain columns that any reader understands, features and evidence as lists."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from streetvision_core.data.table import UNKNOWN_LABEL, FeatureTable
from streetvision_core.errors import DataError, ManifestError
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.models.evidence import EVIDENCE_NAMES, widen
from streetvision_core.storage import atomic_write_bytes
from streetvision_core.types import Split

FORMAT: Final = "dataset/1"
_META: Final = b"streetvision"
_TYPES: Final = {
    "label": pa.int8(),
    "level": pa.int8(),
    "weight": pa.float32(),
    "width": pa.int32(),
    "height": pa.int32(),
}


def save(dataset: Dataset, path: Path) -> None:
    """Writes the file by replace; see `Dataset.save_dataset`."""
    table = dataset.table
    columns = {name: pa.array(values, _TYPES.get(name, pa.string())) for name, values in dataset.columns()}
    columns |= {"features": _lists(table.features), "evidence": _lists(table.evidence)}
    meta = {
        "format": FORMAT,
        "digest": dataset.digest,
        "backbone": table.backbone,
        "preprocessing": table.preprocessing,
        "detectors": list(dataset.detectors),
        "evidence": list(EVIDENCE_NAMES[: table.evidence.shape[1]]),
        "has_splits": table.splits is not None,
        "notes": dict(dataset.notes),
    }
    written = pa.table(columns).replace_schema_metadata({_META: json.dumps(meta).encode()})
    buffer = io.BytesIO()
    pq.write_table(written, buffer, compression="zstd")
    atomic_write_bytes(path, buffer.getvalue())


def load(path: Path) -> Dataset:
    """Reads and checks the file; see `Dataset.load`."""
    try:
        stored = pq.read_table(path)
        meta = json.loads((stored.schema.metadata or {}).get(_META, b"{}"))
        if meta.get("format") != FORMAT:
            raise ValueError(f"format {meta.get('format')!r}")
        dataset = _dataset(stored, meta)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(
            got=f"{path.name}: {str(error).splitlines()[0]}",
            allowed=f"a dataset file of format {FORMAT}",
            action="build it again: streetvision daily builds one a night, notebooks/01_data.ipynb by hand",
            path=str(path),
        ) from error
    if dataset.digest != meta["digest"]:
        raise ManifestError(
            got=f"{path.name} whose rows have the digest {dataset.digest[:12]}",
            allowed=f"{meta['digest'][:12]}, as it was saved",
            action="restore it from a backup, or build it again with notebooks/01_data.ipynb",
            path=str(path),
        )
    return dataset


def count_sources(path: Path, sources: frozenset[str]) -> int:
    """How many rows come from one of the sources; features are not read."""
    column = pq.read_table(path, columns=["source"]).column("source").to_pylist()
    return sum(source in sources for source in column)


def _dataset(stored: pa.Table, meta: dict[str, Any]) -> Dataset:
    has = {
        name: stored.column(name).to_pylist() for name in stored.column_names if name not in ("features", "evidence")
    }
    table = FeatureTable(
        ids=tuple(has["name"]),
        features=_matrix(stored, "features"),
        labels=np.array([UNKNOWN_LABEL if label is None else label for label in has["label"]], np.int8),
        groups=tuple(has["group"]),
        origins=tuple(has["origin"]),
        eras=tuple(has["era"]),
        levels=np.array(has["level"], np.int8),
        splits=tuple(Split(split) for split in has["split"]) if meta["has_splits"] else None,
        evidence=widen(_matrix(stored, "evidence")),
        weights=np.array(has["weight"], np.float32),
        backbone=meta["backbone"],
        preprocessing=meta["preprocessing"],
    )
    fields = ("image", "path", "labelled_by", "world", "licence", "source", "modes", "width", "height")
    rows = []
    for values in zip(*(has[name] for name in fields), strict=True):
        given = dict(zip(fields, values, strict=True))
        rows.append(Provenance(**{**given, "modes": tuple(given["modes"].split())}))
    return Dataset(table, tuple(rows), tuple(meta["detectors"]), meta["notes"])


def _lists(matrix: npt.NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _matrix(stored: pa.Table, name: str) -> npt.NDArray[np.float32]:
    column = stored.column(name).combine_chunks()
    width = stored.schema.field(name).type.list_size
    flat = column.flatten() if isinstance(column, pa.Array) else column.chunk(0).flatten()
    return cast("npt.NDArray[np.float32]", flat.to_numpy(zero_copy_only=False).reshape(-1, width))
