import hashlib
import json
import multiprocessing as mp
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from streetvision_core.errors import QueryLogError, StorageError
from streetvision_core.mining import _schema
from streetvision_core.mining.querylog import NewQuery, QueryLog, open_or_set_aside
from streetvision_core.types import Box, Evidence, Verdict

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_verdict(p: float = 0.8) -> Verdict:
    boxes = {"yolo12n": (Box(1, 2, 30, 40, "cone", 0.75),)}
    evidence = (
        Evidence("classifier", {"logit": 1.25}, seconds=0.02),
        Evidence("detectors", {"yolo12n.cone.max": 0.75}, boxes, ("ROAD WORK",), 0.1),
    )
    return Verdict(p, "detectors", True, evidence, "v1", "certified", 0.12)


def make_query(data: bytes = b"jpeg", p: float = 0.8, when: datetime = NOON, **changes: object) -> NewQuery:
    values: dict[str, object] = {"era": "native", "group": "g", "origin": "stream", "truth": 1, "modes": ("night",)}
    return NewQuery(data, make_verdict(p), received_at=when, **(values | changes))  # type: ignore[arg-type]


def test_append__row_comes_back_whole(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        digest = log.append(
            b"jpeg", make_verdict(), era="native", group="g", origin="stream", received_at=NOON, truth=1, modes=["fog"]
        )
        (row,) = log.rows("2026-03-01")
    assert row.verdict == make_verdict()
    assert (row.sha256, row.era, row.group, row.origin) == (digest, "native", "g", "stream")
    assert (row.truth, row.modes, row.received_at, row.day) == (1, ("fog",), NOON, "2026-03-01")
    assert (tmp_path / "images" / digest[:2] / f"{digest}.jpg").read_bytes() == b"jpeg"


@pytest.mark.parametrize("p", [0.4999999, 0.5000001, 1e-9, 1 - 1e-9])
def test_rows__probability_is_exact_beside_half(tmp_path: Path, p: float) -> None:
    with QueryLog(tmp_path) as log:
        log.append_many([make_query(p=p)])
        assert log.rows()[0].verdict.p_roadwork == p


def test_append__day_is_utc(tmp_path: Path) -> None:
    late_in_new_york = datetime(2026, 3, 1, 23, tzinfo=timezone(timedelta(hours=-5)))
    with QueryLog(tmp_path) as log:
        log.append_many([make_query(when=late_in_new_york)])
        assert log.rows("2026-03-01") == []
        assert len(log.rows(datetime(2026, 3, 2).date())) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"when": datetime(2026, 3, 1)}, "time zone"),
        ({"era": "square"}, "crop-224, letterbox-224, native"),
        ({"truth": -1}, "0, 1 or None"),
        ({"data": b""}, "empty image"),
        ({"modes": ("snow",)}, "snow"),
    ],
)
def test_append__refuses(changes: dict, message: str) -> None:
    with pytest.raises(QueryLogError, match=message):
        make_query(**changes)


def test_append_many__duplicate_images_are_one_file(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        digests = log.append_many([make_query(b"same"), make_query(b"same", p=0.3), make_query(b"other")])
        path = log.images.path(digests[0])
        written = path.stat().st_mtime_ns
        log.append_many([make_query(b"same")])
        assert path.stat().st_mtime_ns == written
        counts = log.counts()
    assert digests[0] == digests[1]
    assert (counts.queries, counts.images, counts.with_truth) == (4, 2, 4)
    assert counts.days == {"2026-03-01": 4}


def test_append_many__is_all_or_nothing(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        bad = make_query()
        object.__setattr__(bad, "truth", 7)  # past our own check: the database's check has to hold too
        with pytest.raises(QueryLogError, match="CONSTRAINT"):
            log.append_many([make_query(b"a"), bad])
        assert log.rows() == []
        log.append_many([make_query(b"a")])
        assert len(log.rows()) == 1


@pytest.mark.parametrize("digest", ["../../etc/passwd", "A" * 64, "", "0" * 63])
def test_image__refuses_what_is_no_digest(tmp_path: Path, digest: str) -> None:
    with QueryLog(tmp_path) as log, pytest.raises(QueryLogError, match="64 hexadecimal digits"):
        log.image(digest)


def test_image__missing_and_damaged(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        (digest,) = log.append_many([make_query(b"jpeg")])
        assert log.image(digest) == b"jpeg"
        log.images.path(digest).write_bytes(b"JPEG")
        with pytest.raises(QueryLogError, match="damaged"):
            log.image(digest)
        with pytest.raises(QueryLogError, match="no image"):
            log.image("0" * 64)


def test_check__finds_missing_damaged_and_orphans(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        missing, damaged, _sound = log.append_many([make_query(b) for b in (b"1", b"2", b"3")])
        assert log.check().ok
        orphan = log.images.put(b"orphan")
        assert log.check().ok
        log.images.remove(missing)
        log.images.path(damaged).write_bytes(b"x")
        health = log.check()
    assert not health.ok
    assert (health.missing, health.damaged, health.orphans) == ((missing,), (damaged,), (orphan,))
    assert health.to_dict()["database"] == "ok"


def test_prune__keeps_days_and_shared_images(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        old = NOON - timedelta(days=3)
        shared, only_old = log.append_many([make_query(b"shared", when=old), make_query(b"old", when=old)])
        log.append_many([make_query(b"shared")])
        assert log.prune(keep_days=2, now=NOON) == 2
        assert list(log.images) == [shared]
        assert log.check().ok
        with pytest.raises(QueryLogError, match="no image"):
            log.image(only_old)
        with pytest.raises(QueryLogError, match="keep_days"):
            log.prune(-1)


def test_open__refuses_a_newer_schema(tmp_path: Path) -> None:
    QueryLog(tmp_path).close()
    with sqlite3.connect(tmp_path / "queries.sqlite") as db:
        db.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(QueryLogError, match=r"schema version 99.*allowed: version 2"):
        QueryLog(tmp_path)


def test_migrate__failed_step_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with QueryLog(tmp_path) as log:
        log.append_many([make_query()])
    monkeypatch.setattr(_schema, "MIGRATIONS", (*_schema.MIGRATIONS, ("ALTER TABLE queries ADD note TEXT", "NO SQL")))
    monkeypatch.setattr(_schema, "SCHEMA_VERSION", len(_schema.MIGRATIONS))
    with pytest.raises(QueryLogError, match="syntax error"):
        QueryLog(tmp_path)
    monkeypatch.undo()
    with QueryLog(tmp_path) as log:
        assert len(log.rows()) == 1


def test_open__names_a_damaged_database(tmp_path: Path) -> None:
    (tmp_path / "queries.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(QueryLogError, match="sound query log"):
        QueryLog(tmp_path)


def test_open__names_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="writable folder"):
        QueryLog(tmp_path / "file" / "log")


def test_append__full_database_loses_nothing(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        log.append_many([make_query()])
        pages = log._db.execute("PRAGMA page_count").fetchone()[0]
        log._db.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StorageError, match="SQLITE_FULL"):
            log.append_many([make_query(bytes([i]) * 9) for i in range(100)])
        assert len(log.rows()) == 1
        log._db.execute("PRAGMA max_page_count = 1000000")
        log.append_many([make_query(b"after")])
        assert len(log.rows()) == 2
        assert log.check().ok


def test_append__file_size_limit_loses_nothing(tmp_path: Path) -> None:
    """A real refusal by the kernel: no file of the child may grow beyond 64 KiB."""
    with QueryLog(tmp_path) as log:
        log.append_many([make_query()])
    script = """
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_querylog import make_query
        from streetvision_core.errors import StorageError
        from streetvision_core.mining.querylog import QueryLog
        log = QueryLog(Path(sys.argv[1]))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        refused = 0
        for batch in ([make_query(b"x" * 200_000)], [make_query(bytes([i])) for i in range(200)]):
            try:
                log.append_many(batch)
            except StorageError:
                refused += 1
        print(refused, len(log.rows()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "1"]
    with QueryLog(tmp_path) as log:
        assert len(log.rows()) == 1
        assert log.check().ok


def test_append__waits_for_another_writer_then_gives_up(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as other, QueryLog(tmp_path, busy_seconds=0.2) as log:
        other._db.execute("BEGIN IMMEDIATE")
        with pytest.raises(QueryLogError, match="one writer at a time"):
            log.append_many([make_query()])
        timer = threading.Timer(0.1, lambda: other._db.execute("COMMIT"))
        timer.start()
        log.append_many([make_query()])
        timer.join()
        assert len(other.rows()) == 1


def _write(root: Path, name: str, n: int) -> None:
    with QueryLog(root) as log:
        for i in range(n):
            log.append_many([make_query(f"{name}{i % 5}".encode(), group=name)])


def test_append__two_processes_lose_nothing(tmp_path: Path) -> None:
    context = mp.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, name, 40)) for name in "ab"]
    for writer in writers:
        writer.start()
    with QueryLog(tmp_path) as log:
        while any(writer.is_alive() for writer in writers):
            log.prune(keep_days=10**4)  # a pruner beside the writers must not take an image they count on
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    with QueryLog(tmp_path) as log:
        assert log.counts().queries == 80
        assert log.check().ok


def test_append__threads_share_one_log(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        threads = [
            threading.Thread(target=lambda k=k: [log.append_many([make_query(f"{k}-{i}".encode())]) for i in range(20)])
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert log.counts().queries == log.counts().images == 80


def _write_forever(root: Path) -> None:
    with QueryLog(root) as log:
        for i in range(10**6):
            log.append_many([make_query(hashlib.sha256(f"{i}-{k}".encode()).digest()) for k in range(3)])


def test_append__survives_kill(tmp_path: Path) -> None:
    writer = mp.get_context("fork").Process(target=_write_forever, args=(tmp_path,))
    writer.start()
    with QueryLog(tmp_path) as log:
        deadline = time.monotonic() + 20
        while log.counts().queries < 30 and time.monotonic() < deadline:
            time.sleep(0.01)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    with QueryLog(tmp_path) as log:
        n = log.counts().queries
        assert n >= 30
        assert n % 3 == 0, "a batch is all or nothing"
        assert log.check().ok
        log.append_many([make_query()])


BAD_VALUES = {
    "verdict": ["", "{", "null", "[]", "{}", "[" * 100_000],
    "received_at": ["", "yesterday", "2026-03-01T12:00:00"],
    "sha256": ["", "../../etc/passwd", "A" * 64],
    "era": ["", "jurassic"],
    "modes": ["", "null", '["unheard of"]', "7"],
    "p_roadwork": [0.5, -1.0, "x"],
}


@pytest.mark.parametrize(("column", "bad"), [(c, v) for c, values in BAD_VALUES.items() for v in values])
def test_rows__one_bad_row_is_left_out_and_check_names_it(tmp_path: Path, column: str, bad: object) -> None:
    with QueryLog(tmp_path) as log:
        log.append_many([make_query(bytes([i])) for i in range(3)])
        assert log.check().ok
        log._db.execute(f"UPDATE queries SET {column} = ? WHERE id = 2", (bad,))
        assert [row.id for row in log.rows()] == [1, 3]
        health = log.check()
        assert (health.ok, health.bad_rows) == (False, (2,))
        assert health.to_dict()["bad_rows"] == (2,)


@pytest.mark.parametrize("path", ["boxes", "scores", "stage", "seconds", "text"])
def test_rows__evidence_without_a_part_is_a_bad_row(tmp_path: Path, path: str) -> None:
    with QueryLog(tmp_path) as log:
        log.append_many([make_query(bytes([i])) for i in range(2)])
        verdict = make_verdict().to_dict()
        del verdict["evidence"][1][path]
        log._db.execute("UPDATE queries SET verdict = ? WHERE id = 1", (json.dumps(verdict),))
        assert [row.id for row in log.rows()] == [2]


def test_rows__text_that_is_no_utf_8_spoils_its_row_alone(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        log.append_many([make_query(bytes([i])) for i in range(2)])
        log._db.execute("UPDATE queries SET group_name = CAST(x'ff80' AS TEXT) WHERE id = 1")
        assert [row.id for row in log.rows()] == [2]


def test_open_or_set_aside__several_processes_set_one_damaged_log_aside_once(tmp_path: Path) -> None:
    (tmp_path / "queries.sqlite").write_bytes(b"no database " * 1000)
    with mp.get_context("spawn").Pool(3) as pool:
        pool.map(_open_and_append, [(tmp_path, i) for i in range(6)])
    assert len(list(tmp_path.glob("queries.damaged-*.sqlite"))) == 1
    with QueryLog(tmp_path) as log:
        assert len(log.rows()) == 6
        assert log.check().ok


def _open_and_append(task: tuple[Path, int]) -> None:
    root, number = task
    with open_or_set_aside(root) as log:
        log.append_many([make_query(bytes([number]))])


def test_open_or_set_aside__a_newer_schema_stays_where_it_is(tmp_path: Path) -> None:
    with QueryLog(tmp_path) as log:
        log._db.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(QueryLogError, match="schema version 99"):
        open_or_set_aside(tmp_path)
    assert not list(tmp_path.glob("*damaged*"))
