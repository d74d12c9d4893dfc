"""The workspace that an earlier StreetVision left is moved to today's format, and nothing in it is lost."""

import csv
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from streetvision_core.errors import LabelStoreError, NoSpaceError, QueryLogError, WorkspaceError
from streetvision_core.labels import LabelStore, label_store_path
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.ops import _backup
from streetvision_core.ops.migrate import BACKUP, migrate_workspace, plan_migration, remove_superseded
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import load_settings
from streetvision_core.workspace import FILE, Workspace

FIXTURE = Path(__file__).parents[2] / "fixtures" / "workspace-1"
CHOICES = {"accept": lambda label: label, "flip": lambda label: 1 - label, "set-aside": lambda label: None}


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A copy of the fixture, with the settings of a command that runs in it."""
    home = tmp_path / "home"
    shutil.copytree(FIXTURE, home)
    monkeypatch.setenv("SV_PATHS__HOME", str(home))
    return Workspace(home, "a test"), load_settings()


def sheets(home):
    """Every line of every sheet, as people filled them in."""
    for path in sorted((home / "data" / "days").glob("*/decisions.csv")):
        with path.open(newline="") as file:
            yield from csv.DictReader(file)


def digests(home):
    """Every file's digest; a reader of a database may leave empty journals beside it."""
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_fixture_is_what_its_readme_says():
    lines = list(sheets(FIXTURE))
    assert {line["reviewer"] for line in lines} == {"anna", "ben"}
    assert {line["decision"] for line in lines} == {"accept", "flip", "set-aside", "tag"}
    assert [event.action for event in Registry(FIXTURE / "data" / "models").history()].count("rollback") == 1


def test_migrate__every_decision_of_a_person_is_in_the_store_row_by_row(old):
    workspace, settings = old
    assert workspace.format == 1
    done = migrate_workspace(workspace, settings)
    assert (workspace.format, done.set_aside) == (2, 0)
    with LabelStore(label_store_path(settings)) as store:
        kept = [d for d in store.decisions() if d.source == "person"]
    lines = list(sheets(workspace.home))
    assert len(kept) == len(lines) == 13
    for line, decision in zip(lines, kept, strict=True):
        told = None if line["decision"] == "tag" else CHOICES[line["decision"]](int(line["label"]))
        assert (decision.image, decision.label, decision.who) == (line["sha256"], told, line["reviewer"])
        assert (decision.why, decision.query) == (line["reason"], line["id"])
        assert decision.when.isoformat() == line["decided_at"]
        assert decision.tags == ((line["tag"],) if line["tag"] else ())


def test_migrate__a_correction_holds_and_people_come_before_the_renderer(old):
    workspace, settings = old
    migrate_workspace(workspace, settings)
    with LabelStore(label_store_path(settings)) as store:
        labels = store.labels()
    last = {}
    for line in sheets(workspace.home):
        if line["decision"] != "tag":
            last[line["sha256"]] = (CHOICES[line["decision"]](int(line["label"])), line["reviewer"])
    assert {image: (labels[image].label, labels[image].who) for image in last} == last
    assert {label.source for label in labels.values()} == {"person", "renderer"}


def test_migrate__touches_nothing_that_was_there(old):
    workspace, settings = old
    before = digests(workspace.home)
    history = Registry(workspace.home / "data" / "models").history()
    migrate_workspace(workspace, settings)
    after = digests(workspace.home)
    made = {name for name in after if name not in before}
    assert made == {FILE, BACKUP, "data/labels.sqlite"}
    assert {name: after[name] for name in before if not name.endswith(".sqlite")} == {
        name: digest for name, digest in before.items() if not name.endswith(".sqlite")
    }
    registry = Registry(workspace.home / "data" / "models")
    assert registry.history() == history
    assert [version.check() is not None for version in registry.list()] == [True] * 4
    with QueryLog(workspace.home / "data" / "queries") as log:
        assert log.check().ok and log.counts().queries == 28


def test_migrate__the_backup_is_the_workspace_as_it_was(old, tmp_path):
    workspace, settings = old
    before = digests(workspace.home)
    with sqlite3.connect(workspace.home / "data" / "queries" / "queries.sqlite") as db:
        rows = db.execute("SELECT * FROM queries ORDER BY id").fetchall()
    done = migrate_workspace(workspace, settings)
    shutil.unpack_archive(done.backup, tmp_path / "restored", "tar")
    restored = digests(tmp_path / "restored")
    assert set(restored) == set(before)
    assert {n: d for n, d in restored.items() if not n.endswith(".sqlite")} == {
        n: d for n, d in before.items() if not n.endswith(".sqlite")
    }
    with sqlite3.connect(tmp_path / "restored" / "data" / "queries" / "queries.sqlite") as db:
        assert db.execute("SELECT * FROM queries ORDER BY id").fetchall() == rows


def test_migrate__the_backup_of_a_log_that_is_being_written_is_whole(old, tmp_path):
    """A writer's newest rows lie in the journal beside the database, not in it."""
    workspace, settings = old
    writer = sqlite3.connect(workspace.home / "data" / "queries" / "queries.sqlite")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("CREATE TABLE late (n INTEGER)")
    writer.execute("INSERT INTO late VALUES (7)")
    writer.commit()
    done = migrate_workspace(workspace, settings)
    shutil.unpack_archive(done.backup, tmp_path / "restored", "tar")
    with sqlite3.connect(tmp_path / "restored" / "data" / "queries" / "queries.sqlite") as db:
        assert db.execute("SELECT n FROM late").fetchone() == (7,)
    writer.close()


def test_migrate__again_changes_nothing(old):
    workspace, settings = old
    migrate_workspace(workspace, settings)
    before = digests(workspace.home)
    again = migrate_workspace(workspace, settings)
    assert (again.backup, again.recorded) == (None, 0)
    (workspace.file).unlink()  # as if it had been killed just before the last step
    once_more = migrate_workspace(workspace, settings)
    assert once_more.recorded == 0
    after = digests(workspace.home)
    assert {k: v for k, v in after.items() if not k.endswith(".sqlite")} == {
        k: v for k, v in before.items() if not k.endswith(".sqlite")
    }


KILLED = """
import sys, time
from pathlib import Path
from streetvision_core.labels import store
from streetvision_core.ops import _backup, migrate
from streetvision_core.settings import load_settings
from streetvision_core.workspace import Workspace
step = sys.argv[1]
def wait(*_, **__):
    print("here", flush=True)
    time.sleep(60)
if step == "backup":
    add, seen = _backup._add, []
    def slow(*args):
        add(*args)
        seen.append(1)
        if len(seen) == 40:
            wait()
    _backup._add = slow
elif step == "record":
    insert, seen = store._insert, []
    def slow(*args, **named):
        insert(*args, **named)
        seen.append(1)
        if len(seen) == 5:
            wait()
    store._insert = slow
else:
    migrate.write_format = wait
settings = load_settings()
migrate.migrate_workspace(Workspace(settings.paths.home, "a test"), settings)
"""


@pytest.mark.parametrize("step", ["backup", "record", "format"])
def test_migrate__goes_on_after_a_kill(old, step):
    workspace, settings = old
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, step], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout.readline().strip() == "here"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert workspace.format == 1
    done = migrate_workspace(workspace, settings)
    assert workspace.format == 2
    with LabelStore(label_store_path(settings)) as store:
        assert sum(d.source == "person" for d in store.decisions()) == 13
    with tarfile.open(done.backup) as tar:
        assert "data/models/promotions.jsonl" in tar.getnames()
    assert not list(workspace.home.glob(".*.part"))


def test_plan_migration__writes_nothing(old):
    workspace, settings = old
    before = digests(workspace.home)
    plan = plan_migration(workspace, settings)
    assert (plan.format, plan.people) == (1, {"anna": 8, "ben": 5})
    assert len(plan.superseded) == 9 and plan.unknown == 0
    assert digests(workspace.home) == before


def test_migrate__a_decision_about_an_image_nobody_knows_is_kept_apart(old):
    workspace, settings = old
    with sqlite3.connect(workspace.home / "data" / "queries" / "queries.sqlite") as db:
        first = next(sheets(workspace.home))["sha256"]
        db.execute("DELETE FROM queries WHERE sha256 = ?", (first,))
    done = migrate_workspace(workspace, settings)
    assert done.set_aside >= 2, "anna's word, ben's, and the renderer's"
    with LabelStore(label_store_path(settings)) as store:
        assert {d.image for d in store.unknown()} == {first}


def test_migrate__a_broken_sheet_stops_before_the_format_is_written(old):
    workspace, settings = old
    sheet = workspace.home / "data" / "days" / "2026-11-02" / "decisions.csv"
    sheet.write_text(sheet.read_text().replace("accept", "perhaps"))
    with pytest.raises(LabelStoreError, match=r"decisions\.csv: line 2") as error:
        migrate_workspace(workspace, settings)
    assert "streetvision migrate" in error.value.action
    assert workspace.format == 1 and not (workspace.home / BACKUP).exists()


def test_migrate__a_query_log_that_is_none_is_named(old):
    workspace, settings = old
    (workspace.home / "data" / "queries" / "queries.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(QueryLogError, match=r"queries\.sqlite"):
        migrate_workspace(workspace, settings)
    assert workspace.format == 1


def test_migrate__a_full_disk_is_named_before_anything_is_written(old, monkeypatch):
    workspace, settings = old
    usage = shutil.disk_usage(workspace.home)
    monkeypatch.setattr(_backup.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(NoSpaceError, match="MB free"):
        migrate_workspace(workspace, settings)
    assert workspace.format == 1 and not label_store_path(settings).exists()


def test_remove_superseded__only_what_the_store_and_the_backup_hold(old):
    workspace, settings = old
    done = migrate_workspace(workspace, settings)
    (workspace.home / BACKUP).rename(workspace.home / "elsewhere.tar")
    with pytest.raises(WorkspaceError, match="no backup-format-1"):
        remove_superseded(done, settings)
    (workspace.home / "elsewhere.tar").rename(workspace.home / BACKUP)
    removed = remove_superseded(done, settings)
    assert len(removed.removed) == 9 and not any(path.exists() for path in removed.removed)
    with LabelStore(label_store_path(settings)) as store:
        assert sum(d.source == "person" for d in store.decisions()) == 13
