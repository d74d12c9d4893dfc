"""Whether the query log may grow: a caller must be able to fill neither the disk nor more than was set aside for it."""

from __future__ import annotations

import threading
import time
from typing import Final

from streetvision_core.mining.querylog import ImageStore, QueryLog
from streetvision_core.mining.retention import GIB, free_bytes
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import RetentionSettings

LOOK_SECONDS: Final = 1.0
WEIGH_SECONDS: Final = 600.0
"""How often the images are weighed again: the night prunes them from another process."""


class LogRoom:
    """Room for more photographs.

    Args:
        rules: the limits.
        metrics: shows what the images weigh and what is free.
    """

    def __init__(self, rules: RetentionSettings, metrics: Metrics) -> None:
        self._rules = rules
        self._metrics = metrics
        self._bytes = 0
        self._free = 0
        self._looked = self._weighed = -float("inf")
        self._scales: threading.Thread | None = None

    def refusal(self, log: QueryLog, more_bytes: int) -> str:
        """Why so many bytes more must not be written; empty if they may."""
        now = time.monotonic()
        full = self._bytes + more_bytes > self._rules.max_gib * GIB
        # weighed sooner while nothing is written: somebody may have made room
        if now - self._weighed > (10 * LOOK_SECONDS if full else WEIGH_SECONDS):
            self._weigh(log.images)
        if now - self._looked > LOOK_SECONDS:
            self._free, self._looked = free_bytes(log.root), now
        self._show()
        if self._free - more_bytes < self._rules.min_free_gib * GIB:
            return "disk-floor"
        return "max-gib" if self._bytes + more_bytes > self._rules.max_gib * GIB else ""

    def note_written(self, n_bytes: int) -> None:
        """Counts what was written; an image that was there already counts twice until the next weighing."""
        self._bytes += n_bytes
        self._free -= n_bytes

    def _weigh(self, images: ImageStore) -> None:
        """Weighs beside the writing: a million files take seconds."""
        if self._scales is not None and self._scales.is_alive():
            return
        self._weighed = time.monotonic()

        def work() -> None:
            self._bytes = images.total_bytes()

        self._scales = threading.Thread(target=work, name="query-log weight", daemon=True)
        self._scales.start()

    def _show(self) -> None:
        self._metrics.log_bytes.set(self._bytes)
        self._metrics.disk_free_bytes.set(self._free)
