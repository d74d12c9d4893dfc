"""Kills a process before, in the middle of and after each of its writes, and looks at what is left."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streetvision_core.errors import StorageError
from streetvision_core.registry.decision import GateDecision, Override, protocol_sha256
from streetvision_core.registry.versions import Registry

# Runs one action in a fork for every n, which dies at its n-th call that touches the disk, until one lives.
SCRIPT = """
import builtins, json, os, sys, shutil
from pathlib import Path
from streetvision_core.errors import StorageError
from streetvision_core.registry.decision import GateDecision, Override, protocol_sha256
from streetvision_core.registry.versions import Registry

PASSED = GateDecision(True, ("Challenger promoted.",), {}, {}, protocol_sha256({}))
CALLS = ("open", "write", "fsync", "ftruncate", "rename", "replace", "mkdir", "chmod", "unlink")

def arm(n, when):
    count = [0]
    def wrap(name):
        real = getattr(os, name)
        def call(*args, **kwargs):
            count[0] += 1
            if count[0] == n:
                if when == "half" and name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                elif when == "after":
                    real(*args, **kwargs)
                os._exit(9)
            return real(*args, **kwargs)
        setattr(os, name, call)
    for name in CALLS:
        wrap(name)

def act(root):
    registry = Registry(root)
    if sys.argv[2] == "create":
        registry.create({"head.json": b"[1]"}, {})
    elif sys.argv[2] == "settle":
        registry.settle("v0002", PASSED)
    elif sys.argv[2] == "rollback":
        registry.rollback("Ada", "back to the first")
    else:
        registry.promote("v0002", Override("Ada", "a test of kills"))

seed, result = Path(sys.argv[1]), []
for when in ("before", "half", "after"):
    for n in range(1, 200):
        root = seed.with_name(f"{seed.name}-{when}-{n}")
        shutil.copytree(seed, root)
        pid = os.fork()
        if pid == 0:
            arm(n, when)
            act(root)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        result.append([str(root), when, n, code])
        if code == 0:
            break
print(json.dumps(result))
"""


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    registry = Registry(tmp_path / "models")
    registry.install_first(registry.create({"head.json": b"{}"}, {}), by="loop")
    registry.create({"head.json": b"[]"}, {})
    return registry.root


def _killed(seed: Path, action: str) -> list[tuple[Registry, int]]:
    ran = subprocess.run([sys.executable, "-c", SCRIPT, str(seed), action], capture_output=True, text=True, check=True)
    runs = [(Registry(Path(root)), code) for root, _, _, code in json.loads(ran.stdout)]
    assert {code for _, code in runs} == {0, 9}, ran.stderr
    assert sum(code == 0 for _, code in runs) == 3
    assert sum(code == 9 for _, code in runs) >= 9
    return runs


def test_promote__kill_leaves_old_or_new(seed: Path) -> None:
    old, new = (v.name for v in Registry(seed).list())
    left = []
    for registry, code in _killed(seed, "promote"):
        champion = registry.champion()
        assert champion is not None
        left.append(champion.name)
        assert champion.name == new or code == 9
        event = registry.promote("v0002" if champion.name == old else "v0001", _override())
        assert registry.alias("champion").name == event.version, "the registry works on after the kill"
        assert event.previous == champion.name
    assert set(left) == {old, new}


def test_settle__killed_anywhere_and_repeated_is_one_challenge_and_one_promotion(seed: Path) -> None:
    passed = GateDecision(True, ("Challenger promoted.",), {}, {}, protocol_sha256({}))
    old, new = (v.name for v in Registry(seed).list())
    left = set()
    for registry, _ in _killed(seed, "settle"):
        champion = registry.promotions.champion()
        left.add(champion)
        if champion == old:
            registry.settle(new, passed)
        assert [event.action for event in registry.history()] == ["first", "challenge", "promote"]
        assert registry.promotions.champion() == new
    assert left == {old, new}


def test_rollback__kill_leaves_old_or_new(seed: Path) -> None:
    Registry(seed).promote("v0002", _override())
    old, new = (v.name for v in Registry(seed).list())
    left = {registry.promotions.champion() for registry, _ in _killed(seed, "rollback")}
    assert left == {old, new}


def test_create__kill_leaves_a_whole_version_or_none(seed: Path) -> None:
    counts = set()
    for registry, _ in _killed(seed, "create"):
        versions = registry.list()
        counts.add(len(versions))
        for version in versions:
            version.check()
        made = registry.create({"head.json": b"[1]"}, {})
        assert [v.name for v in registry.list()][-1] == made.name
        assert made.name.startswith("v0003-")
        assert not list(registry.root.glob(".staging-*"))
    assert counts == {2, 3}


def _override() -> Override:
    return Override("Ada", "a test of kills")


def test_promote__full_disk_leaves_the_old_champion(seed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(seed)
    before = registry.promotions.path.read_bytes()
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if data[:2] == b'{"':
            return write(handle, data[:40])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageError, match="the old champion still serves"):
            registry.promote("v0002", _override())
    assert registry.promotions.path.read_bytes() == before
    registry.promote("v0002", _override())
    assert registry.alias("champion").name.startswith("v0002")


WRITER = """
import sys
from pathlib import Path
from streetvision_core.errors import StorageError
from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry
registry = Registry(Path(sys.argv[1]))
for n in range(8):
    version = registry.create({"head.json": f"[{sys.argv[2]}, {n}]".encode()}, {})
    registry.promote(version, Override(f"writer {sys.argv[2]}", "a test of crowds"))
"""


def test_registry__several_processes_write_at_once(seed: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(seed), str(n)]) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    registry = Registry(seed)
    versions, history = registry.list(), registry.history()
    assert [int(v.name[1:5]) for v in versions] == list(range(1, 27))
    assert [e.seq for e in history] == list(range(1, 26))
    assert [e.previous for e in history[1:]] == [e.version for e in history[:-1]]
    assert len({e.time for e in history}) == len(history)
    registry.alias("champion")
