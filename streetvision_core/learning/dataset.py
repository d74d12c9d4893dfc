"""What is learned from and judged on: one row an image, with everything known of where the row comes from.

A `Dataset` is a value. Nothing changes it, nothing is looked up for it; its digest names its content wherever it lies.

Example:
    >>> table = FeatureTable.build(np.ones((2, 3)), backbone="b", preprocessing="p/1", labels=[1, 0])
    >>> dataset = Dataset(table, (Provenance("a1", source="mine"), Provenance("b2", source="mine", world="rendered")))
    >>> dataset.real.to_pandas()[["image", "label", "world"]].to_dict("records")
    [{'image': 'a1', 'label': 1, 'world': 'real'}]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable
from streetvision_core.data.worlds import World
from streetvision_core.errors import DataError, PreprocessMismatchError
from streetvision_core.types import FailureMode, Split

if TYPE_CHECKING:
    import pandas as pd

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a row comes from.

    Attributes:
        image: hex sha256 of the image's bytes; where a source ships features alone, the source's own name for it.
        path: of the image file, None where no file is at hand.
        labelled_by: `person`, `renderer`, `machine` or `caller`, as in the label store; `source` where the data set
            came with the label.
        world: a photograph, or a frame in which something was rendered.
        licence: of the image.
        source: which source gave the row: `starter pack`, `query log`, …
        modes: failure modes it is known to show.
        width: in pixels, 0 where nobody kept it.
        height: in pixels, 0 where nobody kept it.
    """

    image: str
    path: str | None = None
    labelled_by: str = "source"
    world: World = "real"
    licence: str = "unknown"
    source: str = ""
    modes: tuple[FailureMode, ...] = ()
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if self.world not in get_args(World):
            raise _wrong(f"the world {self.world!r}", ", ".join(get_args(World)))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of one backbone, one preprocessing and one set of detectors.

    Attributes:
        table: features, evidence, labels, groups, origins, eras, levels, splits and weights, as training takes them.
        rows: where each row comes from, in the order of the table.
        detectors: `name@version` of the detectors behind the evidence, in the profile's order.
        notes: JSON-ready facts of how it was built; no part of the digest.
    """

    table: FeatureTable
    rows: tuple[Provenance, ...]
    detectors: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.table):
            raise _wrong(f"{len(self.rows)} provenances for {len(self.table)} rows", "one per row")

    @classmethod
    def of_table(
        cls, table: FeatureTable, source: str, detectors: tuple[str, ...] = (), world: World = "real"
    ) -> Dataset:
        """A table of one source whose rows are known by their names alone."""
        return cls(table, tuple(Provenance(name, world=world, source=source) for name in table.ids), detectors)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """Backbone, preprocessing and detectors; rows of two keys do not go together."""
        return self.table.backbone, self.table.preprocessing, self.detectors

    @property
    def real(self) -> Dataset:
        """The photographs."""
        return self.of_world("real")

    @property
    def rendered(self) -> Dataset:
        """The rows in which something was rendered."""
        return self.of_world("rendered")

    def of_world(self, world: World) -> Dataset:
        """The rows of one world."""
        return self.select(np.array([row.world == world for row in self.rows], bool))

    def in_split(self, *splits: Split) -> Dataset:
        """The rows of some splits."""
        return self.select(np.logical_or.reduce([self.table.in_split(split) for split in splits]))

    def labelled(self) -> Dataset:
        """The rows whose label is known."""
        return self.select(self.table.labels >= 0)

    def select(self, mask: npt.NDArray[Any] | Sequence[int]) -> Dataset:
        """The rows of a boolean mask [N], or of row numbers in their order."""
        chosen = np.asarray(mask)
        numbers = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64)
        return replace(self, table=self.table.select(mask), rows=tuple(self.rows[i] for i in numbers.tolist()))

    @staticmethod
    def concat(datasets: Sequence[Dataset]) -> Dataset:
        """Puts datasets under each other.

        Raises:
            PreprocessMismatchError: they differ in backbone, preprocessing or detectors.
            DataError: there is none.
        """
        if not datasets:
            raise _wrong("no dataset", "at least one")
        first = datasets[0]
        for other in datasets[1:]:
            if other.detectors != first.detectors:
                raise PreprocessMismatchError(
                    got=f"evidence of {', '.join(other.detectors) or 'no detector'}",
                    allowed=f"evidence of {', '.join(first.detectors) or 'no detector'}, as in the rows before",
                    action="build both with the same profile",
                )
        rows = tuple(row for dataset in datasets for row in dataset.rows)
        return Dataset(FeatureTable.concat([dataset.table for dataset in datasets]), rows, first.detectors)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over every value of every row and the key; the file's form has no part in it."""
        sha = hashlib.sha256(json.dumps([self.key, list(self.columns())]).encode())
        for values in (self.table.features, self.table.evidence):
            sha.update(np.ascontiguousarray(values).tobytes())
        return sha.hexdigest()

    def to_pandas(self) -> pd.DataFrame:
        """One row an image, without the features: name, label, group, origin, split, weight and provenance."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns()))

    def columns(self) -> Iterator[tuple[str, list[Any]]]:
        """Name and values of every plain column."""
        table = self.table
        provenance = [asdict(row) for row in self.rows]
        yield "name", list(table.ids)
        for name in ("image", "path"):
            yield name, [row[name] for row in provenance]
        yield "label", [None if label < 0 else int(label) for label in table.labels]
        yield "labelled_by", [row["labelled_by"] for row in provenance]
        yield "group", list(table.groups)
        yield "origin", list(table.origins)
        yield "world", [row["world"] for row in provenance]
        yield "era", list(table.eras)
        yield "level", table.levels.tolist()
        yield "split", [None] * len(self) if table.splits is None else [str(split) for split in table.splits]
        yield "weight", table.weights.tolist()
        yield "modes", [" ".join(row["modes"]) for row in provenance]
        for name in ("licence", "source", "width", "height"):
            yield name, [row[name] for row in provenance]

    def save_dataset(self, path: Path) -> None:
        """Writes one Parquet file with the digest in it, by replace."""
        from streetvision_core.learning._parquet import save

        save(self, path)

    @classmethod
    def load(cls, path: Path) -> Dataset:
        """Reads what `save_dataset` wrote.

        Raises:
            DataError: the file is missing, broken or of another format.
            ManifestError: its rows are not those that its digest names.
        """
        from streetvision_core.learning._parquet import load

        return load(path)


def count_stream_rows(path: Path) -> int:
    """How many rows of a saved dataset came from the stream: labelled queries, and what was made to order for it."""
    from streetvision_core.learning._parquet import count_sources

    return count_sources(path, frozenset({"query log", "made to order", "teacher"}))


def _wrong(got: str, allowed: str) -> DataError:
    return DataError(got=got, allowed=allowed, action="fix the code that builds the dataset")
