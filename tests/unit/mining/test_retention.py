from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streetvision_core.mining import retention
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.mining.retention import prune_log
from streetvision_core.settings import RetentionSettings
from streetvision_core.types import Verdict

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
KIB = 2**10


def fill(log: QueryLog, days: int, kib: int = 4) -> list[str]:
    """One photograph a day, the oldest first."""
    verdict = Verdict(0.9, "classifier", True, (), "v1", "certified", 0.1)
    queries = [
        NewQuery(bytes([i]) * kib * KIB, verdict, "native", f"g{i}", "http", NOW - timedelta(days=days - 1 - i))
        for i in range(days)
    ]
    return log.append_many(queries)


@pytest.fixture
def log(tmp_path: Path) -> QueryLog:
    return QueryLog(tmp_path)


def left(log: QueryLog) -> list[str]:
    assert log.check().ok
    assert not log.check().orphans
    return [row.group for row in log.rows()]


def test_prune_log__old_queries_go_and_what_a_person_labelled_stays(log: QueryLog) -> None:
    digests = fill(log, 10)
    pruned = prune_log(log, RetentionSettings(keep_days=3, min_free_gib=0), NOW, frozenset(digests[:1]))
    assert left(log) == ["g0", "g6", "g7", "g8", "g9"]
    assert (pruned.too_old, pruned.too_much, pruned.image_bytes) == (5, 0, 5 * 4 * KIB)


def test_prune_log__beyond_the_weight_the_oldest_go_until_there_is_room_for_a_day(log: QueryLog) -> None:
    digests = fill(log, 20)
    rules = RetentionSettings(max_gib=10 * 4 * KIB / retention.GIB, min_free_gib=0)
    pruned = prune_log(log, rules, NOW, frozenset(digests[:1]))
    assert left(log) == ["g0", *(f"g{i}" for i in range(12, 20))]
    assert (pruned.too_old, pruned.too_much) == (0, 11)
    assert prune_log(log, rules, NOW, frozenset(digests[:1])).too_much == 0


def test_prune_log__a_full_disk_lets_the_oldest_go(log: QueryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(log, 10)
    monkeypatch.setattr(retention, "free_bytes", lambda folder: retention.GIB - 3 * 4 * KIB)
    assert prune_log(log, RetentionSettings(min_free_gib=1), NOW, frozenset()).too_much == 3
    assert left(log) == [f"g{i}" for i in range(3, 10)]


def test_shrink__an_image_that_was_sent_again_goes_with_all_its_queries(log: QueryLog) -> None:
    fill(log, 3)
    fill(log, 1)  # the bytes of the oldest once more
    log.shrink(2 * 4 * KIB)
    assert left(log) == ["g1", "g2"]


def test_prune__numbers_are_never_given_twice(log: QueryLog) -> None:
    fill(log, 3)
    log.shrink(0)
    assert left(log) == []
    fill(log, 2)
    assert [row.id for row in log.rows()] == [4, 5]


def test_prune__images_that_a_log_set_aside_may_mention_stay_until_they_are_old(log: QueryLog) -> None:
    digests = fill(log, 2)
    log._db.execute("DELETE FROM queries")
    aside = log.root / "queries.damaged-20261130T000000.sqlite"
    aside.touch()
    log.prune(30, NOW)
    assert set(log.images) == set(digests)
    aside.unlink()
    log.prune(30, NOW)
    assert set(log.images) == set()


def test_forget__goes_with_every_query_and_from_the_files_bytes(log: QueryLog) -> None:
    digests = fill(log, 3)
    fill(log, 1)
    gone = log.forget([digests[0], "f" * 64])
    assert [row.name for row in gone] == ["query-1", "query-4"]
    assert left(log) == ["g1", "g2"]
    assert not log.images.path(digests[0]).exists()
    log._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert digests[0].encode() not in log.path.read_bytes()
    assert digests[1].encode() in log.path.read_bytes()
