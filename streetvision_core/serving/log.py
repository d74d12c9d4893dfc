"""The query log, written off the hot path: a bounded queue, one thread, every answer written or counted as dropped.

The log never decides over answering: it is opened in that thread, tried again while it cannot be opened, and set aside
by name when it is damaged.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from streetvision_core.errors import QueryLogError, StorageError, StreetVisionError
from streetvision_core.mining.querylog import NewQuery, QueryLog, open_or_set_aside, set_aside
from streetvision_core.serving.log_room import LogRoom
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import ServingSettings

BATCH: Final = 32
"""Answers per transaction: a sync of the disk is what costs."""
RETRIES_SECONDS: Final = (0.2, 1.0)
"""Pauses before a failed write is tried again."""
OPEN_PAUSE_SECONDS: Final = 0.5
MAX_OPEN_PAUSE_SECONDS: Final = 30.0
Opener = Callable[[], QueryLog]
_log = structlog.get_logger(__name__)


class LogWriter:
    """Writes answers into a query log in a thread of its own.

    Args:
        log: the log, or how to open it, or None to keep none; closed by `stop`.
        settings: how much may wait.
        metrics: counts what was written and what was dropped.
        room: says whether the log may grow; None sets no limit.
    """

    def __init__(
        self,
        log: QueryLog | Opener | None,
        settings: ServingSettings,
        metrics: Metrics,
        room: LogRoom | None = None,
    ) -> None:
        self._room = room
        self._source = log
        self._log = log if isinstance(log, QueryLog) else None
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
        if self._source is not None:
            self._thread.start()

    def offer(self, query: NewQuery) -> bool:
        """Queues an answer without waiting; False if it was dropped because too much waits, which is counted."""
        if self._source is None:
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
        if self._source is None or not self._thread.is_alive():
            return True
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            self._drop(len(self._queue), "shutdown")
            return False
        if self._log is not None:
            self._log.close()
        return True

    def _run(self) -> None:
        pause = OPEN_PAUSE_SECONDS
        while True:
            if self._opened():
                pause = OPEN_PAUSE_SECONDS
                batch = self._next_batch()
                if not batch:
                    return
                try:
                    self._write(batch)
                except Exception:  # whatever it is, the thread must live to write the next batch
                    _log.exception("query log not written", answers=len(batch))
                    self._drop(len(batch), "storage")
                continue
            with self._changed:
                stopping = self._changed.wait_for(lambda: self._stopping, pause)
            if stopping and not self._opened():
                self._drop(len(self._queue), "not-open")
                return
            pause = min(2 * pause, MAX_OPEN_PAUSE_SECONDS)

    def _opened(self) -> bool:
        """Whether the log can be written; opens it if need be, also when its file was moved or deleted."""
        try:
            if self._log is not None and not self._log.is_current():
                _log.error("the query log's file was moved or deleted; a new one begins", path=str(self._log.path))
                old, self._log = self._log, None
                old.close()
                self._log = open_or_set_aside(old.root)
            if self._log is None and callable(self._source):
                self._log = self._source()
        except Exception as error:  # whatever it is, answers go on, and the next try may go well
            _log.error("query log cannot be opened; answers go on", error=f"{type(error).__name__}: {error}")
        self._metrics.log_up.set(self._log is not None)
        return self._log is not None

    def _next_batch(self) -> list[NewQuery]:
        """The next answers to write; empty when the writer is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(len(q.frame_bytes) for q in batch)
        return batch

    def _write(self, batch: list[NewQuery]) -> None:
        size = sum(len(query.frame_bytes) for query in batch)
        if self._room is not None and self._log is not None:
            refusal = self._room.refusal(self._log, size)
            if refusal:
                self._drop(len(batch), refusal)
                return
        for pause in (*RETRIES_SECONDS, None):
            try:
                self._append(batch)
                return
            except StreetVisionError as error:
                _log.warning("query log not written", answers=len(batch), error=str(error), again=pause is not None)
                if _is_damage(error):
                    self._replace()
                elif not _may_pass(error):
                    break
            except Exception:  # whatever it is, the thread must live to write the next batch
                _log.exception("query log not written", answers=len(batch))
                break
            if pause is not None:
                time.sleep(pause)
        else:
            self._drop(len(batch), "storage")
            return
        self._write_each(batch)

    def _write_each(self, batch: list[NewQuery]) -> None:
        """One by one, so that an answer the database cannot take does not take its batch with it."""
        for query in batch:
            try:
                self._append([query])
            except Exception as error:
                _log.warning("answer not logged", group=query.group, error=f"{type(error).__name__}: {error}")
                self._drop(1, "storage")

    def _append(self, batch: list[NewQuery]) -> None:
        if not self._opened() or self._log is None:  # its file may have gone while we waited
            raise StorageError("no query log", "one that can be opened", "look above for what ails it")
        self._log.append_many(batch)
        self._metrics.log_written.inc(len(batch))
        if self._room is not None:
            self._room.note_written(sum(len(query.frame_bytes) for query in batch))

    def _replace(self) -> None:
        """Sets a damaged log aside and begins a new one."""
        assert self._log is not None
        damaged, self._log = self._log, None
        try:
            self._log = set_aside(damaged)
        except Exception as error:
            _log.error("query log cannot be set aside", error=f"{type(error).__name__}: {error}")
            self._source = lambda: open_or_set_aside(damaged.root)

    def _drop(self, n: int, reason: str) -> None:
        self._metrics.log_dropped.labels(reason).inc(n)
        _log.warning("answers not logged", answers=n, reason=reason)


def _is_damage(error: StreetVisionError) -> bool:
    return isinstance(error, QueryLogError) and bool(error.data.get("damaged"))


def _may_pass(error: StreetVisionError) -> bool:
    """Whether the same answers may be written a moment later: a full disk, another writer."""
    busy = str(error.data.get("code", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return busy or not isinstance(error, QueryLogError)
