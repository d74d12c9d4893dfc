"""Keeps the features a server computes, so that the night does not compute them again.

An answer never waits for the disk: rows are written by a thread of their own, and what it cannot take in time is left
out, because whoever needs a row that is missing makes it again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import structlog

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.errors import StorageError

_log = structlog.get_logger()


class FeatureKeeper:
    """Writes rows into a feature store behind its callers.

    Args:
        store: where they go.
        waiting: batches that may wait to be written; further ones are left out.
    """

    def __init__(self, store: FeatureStore, waiting: int = 64) -> None:
        self._store = store
        self._places = threading.BoundedSemaphore(waiting)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sv-features")

    def keep(self, digests: Sequence[str], make: str, rows: npt.NDArray[np.float32]) -> bool:
        """Hands rows float32 [N, D] over; False if they are left out.

        Args:
            digests: sha256 of each image.
            make: `make_name` of backbone and preprocessing.
            rows: the features.
        """
        if not self._places.acquire(blocking=False):
            return False
        self._writer.submit(self._write, list(digests), make, rows)
        return True

    def close(self) -> None:
        """Writes what waits, then ends."""
        self._writer.shutdown()

    def _write(self, digests: list[str], make: str, rows: npt.NDArray[np.float32]) -> None:
        try:
            self._store.put(digests, make, rows)
        except StorageError as error:
            _log.warning("features not kept", images=len(digests), error=str(error))
        finally:
            self._places.release()
