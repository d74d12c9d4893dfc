"""The query log never decides over answering: each way it can be harmed, against the running gateway."""

import shutil
import sqlite3
from contextlib import ExitStack

import httpx
import pytest

from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving.model_app import create_model_app
from streetvision_core.serving.run import gateway_app, in_background
from streetvision_core.serving.servers import ServerSpec
from streetvision_core.serving.stub import StubEngine
from tests.integration.test_serving import picture, settings_with, wait_for


def damaged(root):
    (root / "queries.sqlite").write_bytes(b"no database " * 1000)


def cut(root):
    QueryLog(root).close()
    path = root / "queries.sqlite"
    path.write_bytes(path.read_bytes()[:6000])


def pages(root):
    """Sound where it is opened, damaged where it is written."""
    QueryLog(root).close()
    path = root / "queries.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:8192] + b"\x55" * (len(data) - 8192))


def newer(root):
    with QueryLog(root) as log:
        log._db.execute("UPDATE schema_version SET version = 99")


def foreign(root):
    with sqlite3.connect(root / "queries.sqlite") as database:
        database.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        database.execute("INSERT INTO schema_version VALUES (1)")
        database.execute("CREATE TABLE queries (something TEXT)")


def folder(root):
    (root / "queries.sqlite").mkdir()


def no_folder(root):
    root.rmdir()
    root.write_text("a file where the folder should be")


class World:
    """A gateway over a workspace, with a model server that answers at once."""

    def __init__(self, stack, home):
        settings = settings_with(look_seconds=0.05, cache_entries=0)
        self.settings = settings.model_copy(update={"paths": settings.paths.model_copy(update={"home": home})})
        self.root = self.settings.paths.resolve("data") / "queries"
        self.root.mkdir(parents=True)
        self.stack = stack

    def start(self):
        model = self.stack.enter_context(in_background(create_model_app(StubEngine("v1"), self.settings)))
        app = self.stack.enter_context(gateway_app(self.settings, [ServerSpec("one", model)]))
        self.metrics = app.state.metrics
        self.url = self.stack.enter_context(in_background(app))
        wait_for(lambda: httpx.get(f"{self.url}/health/ready", trust_env=False).status_code == 200)

    def answer(self, value):
        response = httpx.post(f"{self.url}/v1/predict", content=picture(value), trust_env=False, timeout=20)
        assert response.status_code == 200, response.text
        return response.json()

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, labels) or 0


@pytest.fixture
def world(tmp_path):
    with ExitStack() as stack:
        yield World(stack, tmp_path)


@pytest.mark.parametrize("harm", [damaged, cut, pages, foreign])
def test_start__a_damaged_log_is_set_aside_by_name_and_a_new_one_begins(world, harm):
    harm(world.root)
    before = (world.root / "queries.sqlite").read_bytes()
    world.start()
    for i in range(3):
        world.answer(i)
    wait_for(lambda: world.value("sv_log_written_total") == 3)
    (aside,) = world.root.glob("queries.damaged-*.sqlite")
    assert (
        aside.read_bytes()[200 : len(before) // 2] == before[200 : len(before) // 2]
    )  # the header says how to read it
    with QueryLog(world.root) as log:
        assert len(log.rows()) == 3
    assert world.value("sv_log_up") == 1


@pytest.mark.parametrize("harm", [newer, folder, no_folder])
def test_start__a_log_that_cannot_be_opened_leaves_answers_and_is_left_alone(world, harm):
    harm(world.root)
    world.start()
    for i in range(3):
        world.answer(i)
    assert world.value("sv_log_up") == 0
    assert world.value("sv_log_written_total") == 0
    assert not list(world.root.parent.rglob("*damaged*"))


def test_start__a_locked_log_is_written_once_the_lock_is_gone(world, monkeypatch):
    QueryLog(world.root).close()
    with sqlite3.connect(world.root / "queries.sqlite", isolation_level=None, check_same_thread=False) as other:
        other.execute("BEGIN EXCLUSIVE")
        world.start()
        for i in range(3):
            world.answer(i)
        assert world.value("sv_log_written_total") == 0
        other.execute("ROLLBACK")
    other.close()
    wait_for(lambda: world.value("sv_log_written_total") == 3, 30)
    with QueryLog(world.root) as log:
        assert len(log.rows()) == 3


def test_running__a_log_that_is_deleted_or_moved_begins_again(world):
    world.start()
    world.answer(1)
    wait_for(lambda: world.value("sv_log_written_total") == 1)
    shutil.rmtree(world.root)
    world.answer(2)
    world.answer(3)
    wait_for(lambda: world.value("sv_log_written_total") == 3)
    with QueryLog(world.root) as log:
        assert len(log.rows()) == 2


def limited(world, **retention):
    rules = world.settings.retention.model_copy(update=retention)
    world.settings = world.settings.model_copy(update={"retention": rules})


def test_running__a_caller_fills_neither_the_disk_nor_more_than_was_set_aside(world):
    limited(world, max_gib=3 * len(picture(0)) / 2**30)
    world.start()
    for i in range(12):
        world.answer(i)
    wait_for(lambda: world.value("sv_log_written_total") + world.value("sv_log_dropped_total", reason="max-gib") == 12)
    assert 1 <= world.value("sv_log_written_total") <= 4
    with QueryLog(world.root) as log:
        assert log.images.total_bytes() <= 3.2 * len(picture(0))


def test_running__below_the_floor_of_free_space_nothing_is_written_and_answers_go_on(world):
    limited(world, min_free_gib=1e9)
    world.start()
    for i in range(3):
        world.answer(i)
    wait_for(lambda: world.value("sv_log_dropped_total", reason="disk-floor") == 3)
    assert world.value("sv_disk_free_bytes") > 0
    with QueryLog(world.root) as log:
        assert log.rows() == []


def test_running__photographs_can_be_switched_off(world):
    limited(world, keep_queries=False)
    world.start()
    world.answer(1)
    assert list(world.root.iterdir()) == []
