"""Features on disk, by image and make, so that nothing is extracted twice.

One SQLite file in WAL mode: a killed run keeps what it had, several processes may use it at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import StorageError
from streetvision_core.images.preprocess import Preprocessor
from streetvision_core.models.backbone import Backbone
from streetvision_core.models.features import extract, feature_dim
from streetvision_core.settings import Settings
from streetvision_core.types import Frame

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS features (
    sha256 TEXT NOT NULL, make TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (sha256, make)
) WITHOUT ROWID
"""
_BATCH: Final = 16
_QUERY_LIMIT: Final = 500


class FeatureStore:
    """Feature rows keyed by image sha256, backbone and preprocessing version.

    Args:
        path: the SQLite file; made at first use.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, digests: Sequence[str], make: str) -> dict[str, npt.NDArray[np.float32]]:
        """The stored rows, float32 [D], among those asked for."""
        found: dict[str, npt.NDArray[np.float32]] = {}
        with self._open() as db:
            for start in range(0, len(digests), _QUERY_LIMIT):
                some = list(digests[start : start + _QUERY_LIMIT])
                marks = ",".join("?" * len(some))
                query = f"SELECT sha256, row FROM features WHERE make = ? AND sha256 IN ({marks})"
                found |= {key: np.frombuffer(row, "<f4") for key, row in db.execute(query, [make, *some])}
        return found

    def put(self, digests: Sequence[str], make: str, rows: npt.NDArray[np.float32]) -> None:
        """Stores rows float32 [N, D]; all of them or none."""
        values = [
            (key, make, np.ascontiguousarray(row, "<f4").tobytes()) for key, row in zip(digests, rows, strict=True)
        ]
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", values)

    def forget(self, digests: Sequence[str]) -> int:
        """Deletes the rows of images, of every make; returns how many."""
        if not self.path.is_file():
            return 0
        gone = 0
        with self._open() as db:
            db.execute("PRAGMA secure_delete = ON")
            for start in range(0, len(digests), _QUERY_LIMIT):
                some = list(digests[start : start + _QUERY_LIMIT])
                marks = ",".join("?" * len(some))
                gone += db.execute(f"DELETE FROM features WHERE sha256 IN ({marks})", some).rowcount
        return gone

    def __len__(self) -> int:
        with self._open() as db:
            return int(db.execute("SELECT count(*) FROM features").fetchone()[0])

    def features(
        self,
        frames: Iterable[Frame],
        backbone: Backbone,
        preprocessor: Preprocessor,
        *,
        total: int | None = None,
        progress: str | None = None,
    ) -> npt.NDArray[np.float32]:
        """Features of frames, extracting only what is not stored.

        Args:
            frames: may be a generator, so that images need not all lie in memory.
            backbone: the frozen backbone.
            preprocessor: the versioned preprocessing.
            total: number of frames, for the bar.
            progress: caption of a progress bar; None shows none.

        Returns:
            float32 [N, D] in the order of the frames.
        """
        make = make_name(backbone, preprocessor)
        parts = [self._batch(batch, backbone, preprocessor, make) for batch in _batches(frames, total, progress)]
        return np.concatenate(parts) if parts else np.zeros((0, feature_dim(backbone)), np.float32)

    def _batch(
        self, batch: list[Frame], backbone: Backbone, preprocessor: Preprocessor, make: str
    ) -> npt.NDArray[np.float32]:
        digests = [frame.sha256 for frame in batch]
        known = self.get(digests, make)
        new = {frame.sha256: frame for frame in batch if frame.sha256 not in known}
        if new:
            rows = extract(list(new.values()), backbone, preprocessor)
            self.put(list(new), make, rows)
            known |= dict(zip(new, rows, strict=True))
        return np.stack([known[key] for key in digests])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=60)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=NORMAL")
                db.execute(_SCHEMA)
                with db:
                    yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            raise StorageError(
                got=f"{error} in {self.path.name}",
                allowed="a writable feature store",
                action=f"free space, or remove {self.path}: features are made again when needed",
                path=str(self.path),
            ) from error


def store_path(settings: Settings) -> Path:
    """Where a project's feature store lies: one for the server, the loop and the notebooks."""
    return settings.paths.resolve("data") / "features" / "features.sqlite"


def make_name(backbone: Backbone, preprocessor: Preprocessor) -> str:
    """How rows of one make are called in the store."""
    return f"{backbone.name}|{preprocessor.name}"


def _batches(frames: Iterable[Frame], total: int | None, progress: str | None) -> Iterator[list[Frame]]:
    if progress is not None:
        from rich.progress import track

        frames = track(frames, description=progress, total=total if total is not None else _length(frames))
    iterator = iter(frames)
    while batch := list(islice(iterator, _BATCH)):
        yield batch


def _length(frames: Iterable[Frame]) -> float | None:
    return len(frames) if isinstance(frames, Sequence) else None
