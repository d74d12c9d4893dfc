"""The query log, written off the hot path: a bounded queue, one thread, every answer written or counted as dropped."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

import structlog

from streetvision_core.errors import StreetVisionError
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import ServingSettings

BATCH: Final = 32
"""Answers per transaction: a sync of the disk is what costs."""
RETRIES_SECONDS: Final = (0.2, 1.0)
"""Pauses before a failed write is tried again."""
_log = structlog.get_logger(__name__)


class LogWriter:
    """Writes answers into a query log in a thread of its own.

    Args:
        log: the log, or None to keep none; closed by `stop`.
        settings: how much may wait.
        metrics: counts what was written and what was dropped.
    """

    def __init__(self, log: QueryLog | None, settings: ServingSettings, metrics: Metrics) -> None:
        self._log = log
        self._settings = settings
        self._metrics = metrics
        self._queue: deque[NewQuery] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="query-log", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._metrics.log_depth.set_function(lambda: len(self._queue))
        if self._log is not None:
            self._thread.start()

    def offer(self, query: NewQuery) -> bool:
        """Queues an answer without waiting; False if it was dropped because too much waits, which is counted."""
        if self._log is None:
            return False
        size = len(query.frame_bytes)
        with self._changed:
            room = len(self._queue) < self._settings.log_queue_images
            room = room and self._bytes + size <= self._settings.log_queue_bytes and not self._stopping
            if room:
                self._queue.append(query)
                self._bytes += size
                self._changed.notify()
        if not room:
            self._drop(1, "queue-full")
        return room

    def stop(self, timeout_seconds: float) -> bool:
        """Writes what is queued, then closes the log.

        Returns:
            Whether everything queued was written or counted within the time.
        """
        if self._log is None or not self._thread.is_alive():
            return True
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._drop(len(self._queue), "shutdown")
            return False
        self._log.close()
        return True

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[NewQuery]:
        """The next answers to write; empty when the writer is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(len(q.frame_bytes) for q in batch)
        return batch

    def _write(self, batch: list[NewQuery]) -> None:
        for pause in (*RETRIES_SECONDS, None):
            try:
                self._append(batch)
                return
            except StreetVisionError as error:
                _log.warning("query log not written", answers=len(batch), error=str(error), again=pause is not None)
            except Exception:  # whatever it is, the thread must live to write the next batch
                _log.exception("query log not written", answers=len(batch))
                break
            if pause is not None:
                time.sleep(pause)
        self._drop(len(batch), "storage")

    def _append(self, batch: list[NewQuery]) -> None:
        assert self._log is not None
        self._log.append_many(batch)
        self._metrics.log_written.inc(len(batch))

    def _drop(self, n: int, reason: str) -> None:
        self._metrics.log_dropped.labels(reason).inc(n)
        _log.warning("answers not logged", answers=n, reason=reason)
