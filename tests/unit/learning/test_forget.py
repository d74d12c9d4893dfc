"""Forgetting a photograph in a workspace that has it everywhere."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data.feature_store import FeatureStore, store_path
from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError
from streetvision_core.labels import Decision, LabelStore, label_store_path
from streetvision_core.learning._mentions import Mentions
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.learning.forget import forget_images
from streetvision_core.mining.querylog import NewQuery, QueryLog
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import load_settings
from streetvision_core.types import Split, Verdict

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class World:
    """Five photographs, a night that learned from them, and a page that shows them."""

    def __init__(self, home: Path) -> None:
        base = load_settings("embedded")
        self.settings = base.model_copy(update={"paths": base.paths.model_copy(update={"home": home})})
        self.data, self.reports = (self.settings.paths.resolve(name) for name in ("data", "reports"))
        verdict = Verdict(0.9, "classifier", True, (), "v1", "certified", 0.1)
        with QueryLog(self.data / "queries") as log:
            self.digests = log.append_many(
                [NewQuery(bytes([i]) * 99, verdict, "native", f"g{i}", "http", NOON) for i in range(5)]
            )
        self.night = self.data / "days" / "2026-11-21"
        table = FeatureTable.build(
            np.arange(10.0).reshape(5, 2),
            backbone="b",
            preprocessing="p",
            labels=[0, 1, 0, 1, 0],
            ids=[f"query-{i + 1}" for i in range(5)],
            splits=[Split.TRAIN] * 5,
        )
        dataset = Dataset(table, tuple(Provenance(digest, source="query log") for digest in self.digests))
        dataset.save_dataset(self.night / "dataset.parquet")
        table.save(self.night / "mined.npz")
        FeatureStore(store_path(self.settings)).put(self.digests, "b|p", np.zeros((5, 2), np.float32))
        with LabelStore(label_store_path(self.settings)) as labels:
            labels.record_decisions([Decision(digest, 1, "person", "anna", NOON) for digest in self.digests])
        self.registry = Registry(self.data / "models")
        for name, card in (("taught", {"dataset": dataset.digest}), ("before", {"dataset": "another"})):
            self.registry.create({"head.json": json.dumps(name).encode()}, card)
        self.write_files()

    def write_files(self) -> None:
        items = [{"id": f"query-{i}", "why": "hard"} for i in (1, 2, 11)]
        mined = {"items": items, "modes": {"query-1": "night", "query-2": ""}}
        (self.night / "mined.json").write_text(json.dumps(mined))
        (self.night / "queue.csv").write_text(f"id,image\nquery-1,{self.digests[0]}\nquery-2,{self.digests[1]}\n")
        for day in ("2026-11-20", "2026-11-21", "2026-11-25"):
            page = self.reports / day / "index.html"
            page.parent.mkdir(parents=True)
            page.write_text("<img src='data:image/jpeg;base64,AAAA'>")
        (self.reports / "2026-11-25" / "steps").mkdir()
        (self.reports / "2026-11-25" / "steps" / "mine.html").write_text("<p>query-1</p>")
        (self.data / "fiftyone").mkdir()
        (self.data / "fiftyone" / "mongod.lock").touch()

    def everything(self) -> bytes:
        return b"".join(
            path.read_bytes() for path in (*self.data.rglob("*"), *self.reports.rglob("*")) if path.is_file()
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_forget_images__is_gone_from_everywhere_and_the_rest_stays(world: World) -> None:
    first, second = world.digests[:2]
    done = forget_images(world.settings, world.registry, [first])
    assert (done.queries, done.features, done.decisions, done.rows) == (1, 1, 1, 2)
    assert [name.split("-")[0] for name in done.versions] == ["v0001"], "named, not retrained"
    assert done.left == []
    with QueryLog(world.data / "queries") as log:
        assert [row.sha256 for row in log.rows()] == world.digests[1:]
        assert log.check().ok
        log._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert first.encode() not in world.everything()
    assert second.encode() in world.everything()
    dataset = Dataset.load(world.night / "dataset.parquet")
    assert [row.image for row in dataset.rows] == world.digests[1:]
    assert FeatureTable.load(world.night / "mined.npz").ids == ("query-2", "query-3", "query-4", "query-5")
    mined = json.loads((world.night / "mined.json").read_text())
    assert [item["id"] for item in mined["items"]] == ["query-2", "query-11"], "query-11 is another one"
    assert list(mined["modes"]) == ["query-2"]
    assert (world.night / "queue.csv").read_text() == f"id,image\nquery-2,{second}\n"
    with LabelStore(label_store_path(world.settings)) as labels:
        assert set(labels.labels()) == set(world.digests[1:])
    pages = sorted(str(path.relative_to(world.reports)) for path in world.reports.rglob("*.html"))
    assert pages == ["2026-11-25/index.html"], "pages of the day it came and of the night after, and those that name it"
    assert not (world.data / "fiftyone").exists()


def test_forget_images__a_second_call_finds_nothing_more(world: World) -> None:
    forget_images(world.settings, world.registry, world.digests[:2])
    again = forget_images(world.settings, world.registry, world.digests[:2])
    assert (again.queries, again.features, again.decisions, again.rows) == (0, 0, 0, 0)
    assert (again.edited, again.removed, again.versions, again.left) == ([], [], [], [])


def test_forget_images__all_of_a_night(world: World) -> None:
    done = forget_images(world.settings, world.registry, world.digests)
    assert done.rows == 10
    assert len(Dataset.load(world.night / "dataset.parquet")) == 0
    assert not (world.night / "mined.npz").exists()


def test_forget_images__says_what_it_cannot_look_into(world: World) -> None:
    (world.data / "fiftyone" / "mongod.lock").write_text("4711")
    (world.data / "queries" / "queries.damaged-20261130T000000.sqlite").touch()
    (world.night / "dataset.parquet").write_bytes(b"no parquet")
    done = forget_images(world.settings, world.registry, world.digests[:1])
    assert len(done.left) == 3
    assert "workbench is open" in " ".join(done.left)


def test_forget_images__an_empty_workspace(tmp_path: Path) -> None:
    base = load_settings("embedded")
    settings = base.model_copy(update={"paths": base.paths.model_copy(update={"home": tmp_path})})
    done = forget_images(settings, Registry(tmp_path / "data" / "models"), ["a" * 64])
    assert (done.queries, done.removed, done.versions) == (0, [], [])


@pytest.mark.parametrize("bad", ["", "photo.jpg", "A" * 64, "../../etc/passwd"])
def test_forget_images__no_digest_is_named_and_nothing_is_deleted(world: World, bad: str) -> None:
    with pytest.raises(DataError, match="64 hexadecimal digits"):
        forget_images(world.settings, world.registry, [world.digests[0], bad])
    with QueryLog(world.data / "queries") as log:
        assert len(log.rows()) == 5


def test_mentions__a_query_is_its_whole_number(tmp_path: Path) -> None:
    mentions = Mentions(frozenset({"a" * 64}), frozenset({"query-7"}))
    assert mentions.names("query-7")
    assert mentions.names("query-7-crop")
    assert not mentions.names("query-71", "my-query-7", "b" * 64)
    path = tmp_path / "x.jsonl"
    path.write_text('{"id": "query-7"}\n{"id": "query-71"}\n')
    assert mentions.clean(path) == "edited"
    assert path.read_text() == '{"id": "query-71"}\n'
    assert mentions.clean(path) == ""


def test_retention__people_decide_what_stays_beyond_its_days(world: World) -> None:
    from streetvision_core.loop.retention import labelled_by_people, prune_workspace

    assert labelled_by_people(world.settings) == set(world.digests)
    with LabelStore(label_store_path(world.settings)) as labels:
        labels.forget(world.digests[2:])
    pruned = prune_workspace(world.settings, NOON + timedelta(days=200))
    assert pruned is not None
    assert pruned.too_old == 3
    assert not (world.reports / "2026-11-25" / "steps").exists(), "executed notebooks of long ago go"
    assert (world.reports / "2026-11-25" / "index.html").exists(), "pages stay"
