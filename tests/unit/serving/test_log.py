import threading
import time
from datetime import UTC, datetime

from streetvision_core.errors import StorageError
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.serving import log as module
from streetvision_core.serving.log import LogWriter
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import ServingSettings
from streetvision_core.types import Verdict


def query(i, size=3):
    verdict = Verdict(0.9, "classifier", True, (), "v1", "certified", 0.1)
    return NewQuery(i.to_bytes(3, "big") + b"x" * (size - 3), verdict, "native", f"g{i}", "http", datetime.now(UTC))


class SlowLog(QueryLog):
    """Waits in front of a gate before it writes."""

    def __init__(self, root):
        super().__init__(root)
        self.gate = threading.Event()
        self.failures = 0
        self.entered = threading.Event()

    def append_many(self, queries):
        self.entered.set()
        assert self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise StorageError("a full disk", "space", "free some")
        return super().append_many(queries)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels) or 0


def test_log_writer__everything_offered_is_there_after_stop(tmp_path):
    metrics = Metrics()
    writer = LogWriter(QueryLog(tmp_path), ServingSettings(), metrics)
    writer.start()
    assert all(writer.offer(query(i)) for i in range(100))
    assert writer.stop(10)
    with QueryLog(tmp_path) as log:
        assert [r.group for r in log.rows()] == [f"g{i}" for i in range(100)]
        assert log.check().ok
    assert value(metrics, "sv_log_written_total") == 100


def test_log_writer__does_not_wait_and_counts_what_it_drops(tmp_path):
    metrics, log = Metrics(), SlowLog(tmp_path)
    writer = LogWriter(log, ServingSettings(log_queue_images=5), metrics)
    writer.start()
    writer.offer(query(0))
    log.entered.wait(10)
    started = time.perf_counter()
    kept = [writer.offer(query(i)) for i in range(1, 11)]
    assert time.perf_counter() - started < 5
    assert kept == [True] * 5 + [False] * 5
    log.gate.set()
    assert writer.stop(10)
    assert value(metrics, "sv_log_dropped_total", reason="queue-full") == 5
    assert value(metrics, "sv_log_written_total") == 6


def test_log_writer__bounds_the_bytes_that_wait(tmp_path):
    metrics, log = Metrics(), SlowLog(tmp_path)
    writer = LogWriter(log, ServingSettings(log_queue_bytes=250), metrics)
    writer.start()
    writer.offer(query(0))
    log.entered.wait(10)
    assert [writer.offer(query(i, size=100)) for i in range(1, 5)] == [True, True, False, False]
    log.gate.set()
    assert writer.stop(10)


def test_log_writer__tries_again_and_then_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RETRIES_SECONDS", (0.0, 0.0))
    for failures, written, dropped in [(2, 1, 0), (3, 0, 1)]:
        metrics, log = Metrics(), SlowLog(tmp_path / str(failures))
        log.gate.set()
        log.failures = failures
        writer = LogWriter(log, ServingSettings(), metrics)
        writer.start()
        writer.offer(query(1))
        assert writer.stop(10)
        assert value(metrics, "sv_log_written_total") == written
        assert value(metrics, "sv_log_dropped_total", reason="storage") == dropped


def test_log_writer__shutdown_that_takes_too_long_counts_the_rest(tmp_path):
    metrics, log = Metrics(), SlowLog(tmp_path)
    writer = LogWriter(log, ServingSettings(), metrics)
    writer.start()
    writer.offer(query(0))
    log.entered.wait(10)
    for i in range(3):
        writer.offer(query(i + 1))
    assert not writer.stop(0.05)
    assert value(metrics, "sv_log_dropped_total", reason="shutdown") == 3
    log.gate.set()


def test_log_writer__without_a_log_does_nothing():
    writer = LogWriter(None, ServingSettings(), Metrics())
    writer.start()
    assert not writer.offer(query(0))
    assert writer.stop(1)


def test_log_writer__one_answer_the_database_cannot_take_does_not_take_its_batch(tmp_path):
    metrics, log = Metrics(), SlowLog(tmp_path)
    writer = LogWriter(log, ServingSettings(), metrics)
    writer.start()
    writer.offer(query(0))
    log.entered.wait(10)  # what follows is one batch
    for i in range(1, 11):
        odd = query(i)
        if i == 4:
            object.__setattr__(odd, "group", "lone \udc80 surrogate")
        if i == 7:
            object.__setattr__(odd, "truth", 2**70)
        writer.offer(odd)
    log.gate.set()
    assert writer.stop(10)
    with QueryLog(tmp_path) as written:
        assert [r.group for r in written.rows()] == [f"g{i}" for i in range(11) if i not in (4, 7)]
    assert value(metrics, "sv_log_written_total") == 9
    assert value(metrics, "sv_log_dropped_total", reason="storage") == 2


class OddRoom:
    """Fails when it is asked."""

    def refusal(self, log, more_bytes):
        raise OSError("no such disk")


def test_log_writer__outlives_whatever_fails_around_a_write(tmp_path):
    metrics = Metrics()
    writer = LogWriter(QueryLog(tmp_path), ServingSettings(), metrics, OddRoom())
    writer.start()
    writer.offer(query(0))
    while not value(metrics, "sv_log_dropped_total", reason="storage"):
        time.sleep(0.01)
    writer._room = None
    writer.offer(query(1))
    assert writer.stop(10)
    assert value(metrics, "sv_log_written_total") == 1


def test_log_writer__what_waits_for_a_log_that_never_opens_is_counted(tmp_path):
    def refuse():
        raise StorageError("no disk", "a disk", "mount it")

    metrics = Metrics()
    writer = LogWriter(refuse, ServingSettings(), metrics)
    writer.start()
    assert all(writer.offer(query(i)) for i in range(5))
    assert writer.stop(10)
    assert value(metrics, "sv_log_dropped_total", reason="not-open") == 5
    assert value(metrics, "sv_log_up") == 0
