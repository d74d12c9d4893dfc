from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from streetvision_core.errors import SettingsError
from streetvision_core.models import hub
from streetvision_core.ops import _machine, _project
from streetvision_core.ops._check import GIB, Check
from streetvision_core.ops.doctor import CHECKS, DoctorReport, doctor
from streetvision_core.registry.versions import Registry
from streetvision_core.settings import MiningSettings, Paths, Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings("embedded").model_copy(update={"paths": Paths(home=tmp_path)})


def _one(settings: Settings, name: str) -> Check:
    return doctor(settings, only=(name,)).checks[0]


def test_doctor__runs_every_check_and_says_what_to_do(settings: Settings) -> None:
    report = doctor(settings)
    assert tuple(check.name for check in report.checks) == tuple(CHECKS)
    for check in report.checks:
        assert check.found
        assert "could not be checked" not in check.found
        assert bool(check.action) == (check.status != "ok"), check
    assert json.loads(json.dumps(report.to_dict()))["exit_code"] == report.exit_code
    assert not list(settings.paths.home.iterdir()), "nothing is written"


@pytest.mark.parametrize(
    ("statuses", "status", "exit_code"),
    [
        (("ok", "ok"), "ok", 0),
        (("ok", "warn"), "warn", 0),
        (("warn", "fail", "ok"), "fail", 1),
        ((), "ok", 0),
    ],
)
def test_report__exit_code(statuses: tuple[str, ...], status: str, exit_code: int) -> None:
    report = DoctorReport("embedded", tuple(Check("x", s, "") for s in statuses))  # type: ignore[arg-type]
    assert (report.status, report.exit_code) == (status, exit_code)


def test_doctor__unknown_check(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="workbench"):
        doctor(settings, only=("weather",))


def test_doctor__a_check_that_breaks_does_not_hide_the_rest(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(settings: Settings) -> Check:
        raise ZeroDivisionError("oh")

    monkeypatch.setitem(CHECKS, "disk", breaks)
    report = doctor(settings, only=("disk", "python"))
    assert report.checks[0].status == "warn"
    assert "ZeroDivisionError" in report.checks[0].found
    assert report.checks[1].name == "python"


@pytest.mark.parametrize(("free", "status"), [(0.5, "fail"), (2, "warn"), (50, "ok")])
def test_disk__grades(settings: Settings, monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, int(free * GIB)))
    assert _one(settings, "disk").status == status


@pytest.mark.parametrize(("limit", "status"), [("max", "ok"), ("", "ok"), (str(GIB), "fail"), (str(3 * GIB), "warn")])
def test_memory__the_containers_limit_counts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: str, status: str
) -> None:
    import psutil

    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(16 * GIB))
    monkeypatch.setattr(_machine, "_read", lambda path: limit)
    assert _one(settings, "memory").status == status


def test_ports__one_taken(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        monkeypatch.setattr(_machine, "PORTS", {port: "a test"})
        check = _one(settings, "ports")
        assert check.status == "warn"
        assert f"{port} (a test)" in check.found
    assert _one(settings, "ports").status == "ok"


def test_packages__missing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _one(settings, "packages").status == "ok"
    monkeypatch.setattr(_project, "RUN_TIME", ("numpy", "no-such-package"))
    check = _one(settings, "packages")
    assert (check.status, check.found) == ("fail", "missing: no-such-package")
    assert check.action == "run: streetvision install"


def test_models__says_what_is_missing_and_the_command(settings: Settings) -> None:
    assert _one(settings, "models").status == "ok"
    platinum = load_settings("platinum").model_copy(update={"paths": settings.paths})
    check = _one(platinum, "models")
    assert check.status == "fail"
    assert "timm/vit_large_patch16_dinov3.lvd1689m (0.61 GB): missing" in check.found
    assert "streetvision models pull timm/vit_large_patch16_dinov3.lvd1689m zai-org/GLM-4.6V-Flash" in check.action
    assert "make rfdetr-medium: notebooks/21_finetune_rfdetr.ipynb" in check.action
    for one in hub.wanted(platinum):
        if one.role in hub.NEEDED_ROLES:
            folder = hub.folder_of(one.id, platinum)
            folder.mkdir(parents=True)
            (folder / "model.safetensors").write_bytes(save({"w": np.zeros(1, np.float32)}))
            hub.record(one.id, folder)
    check = _one(platinum, "models")
    assert check.status == "warn"  # video, segments and pictures can wait
    assert "GLM" not in check.found
    (hub.folder_of("rfdetr-medium", platinum) / "model.safetensors").write_bytes(save({"w": np.ones(1, np.float32)}))
    check = _one(platinum, "models")
    assert check.status == "fail"
    assert "another sha256" in check.found


def _pack(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"a")
    (folder / "manifest.json").write_text(json.dumps({"files": {"a.bin": hashlib.sha256(b"a").hexdigest()}}))


@pytest.mark.parametrize(
    ("harm", "status", "found"),
    [
        (lambda f: None, "ok", "1 files"),
        (lambda f: (f / "a.bin").write_bytes(b"b"), "fail", "a.bin is not the file of the manifest"),
        (lambda f: (f / "a.bin").unlink(), "fail", "a.bin is absent"),
        (lambda f: (f / "manifest.json").write_text("{}"), "fail", "manifest.json cannot be read: KeyError"),
    ],
)
def test_starter__digests(settings: Settings, harm: Callable[[Path], object], status: str, found: str) -> None:
    folder = settings.paths.resolve("data") / "starter"
    _pack(folder)
    harm(folder)
    if not (folder / "manifest.json").is_file():
        pytest.fail("the pack must be found")
    check = _one(settings, "starter pack")
    assert check.status == status
    assert found in check.found


def test_manifest_faults__takes_both_forms(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    entry = {"sha256": hashlib.sha256(b"a").hexdigest(), "bytes": 1}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"a": entry}}))
    assert _project.manifest_faults(tmp_path) == (1, [])


def test_workspace__not_writable(settings: Settings, tmp_path: Path) -> None:
    assert _one(settings, "workspace").status == "ok"
    home = tmp_path / "read only"
    home.mkdir()
    home.chmod(0o500)
    if os.access(home, os.W_OK):
        home = Path("/proc/self")  # root may write anywhere else
    check = _one(settings.model_copy(update={"paths": Paths(home=home)}), "workspace")
    assert check.status == "fail"
    assert "SV_PATHS__HOME" in check.action


def test_registry__none_whole_and_harmed(settings: Settings) -> None:
    assert _one(settings, "registry").status == "warn"
    registry = Registry(settings.paths.resolve("data") / "models")
    version = registry.create({"head.json": b"{}"}, {})
    registry.install_first(version, by="loop")
    assert _one(settings, "registry").found.startswith(version.name)
    version.path("head.json").write_text("[]")
    check = _one(settings, "registry")
    assert (check.status, "head.json" in check.found) == ("fail", True)


def test_workbench__off_absent_and_broken(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    off = settings.model_copy(update={"mining": MiningSettings(workbench="off")})
    assert _one(off, "workbench").found == "switched off by the settings"
    from streetvision_core.mining import _mongod

    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(_project, "find_spec", lambda name: object())
    monkeypatch.setattr(_mongod, "find_mongod", lambda: broken)
    check = _one(settings, "workbench")
    assert (check.status, "does not run" in check.found) == ("warn", True)
    monkeypatch.setattr(_project, "find_spec", lambda name: None)
    assert _one(settings, "workbench").found == "no package fiftyone"


def test_gpu__needed_or_not(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "_gpu_names", list)
    assert _one(settings, "gpu").status == "ok"
    big = settings.model_copy(update={"profile": "platinum"})
    assert _one(big, "gpu").status == "warn"
    monkeypatch.setattr(_machine, "_gpu_names", lambda: ["NVIDIA X, 24 GiB"])
    assert _one(big, "gpu").status == "ok"


def test_streets__absent_is_fine(settings: Settings) -> None:
    assert _one(settings, "streets").found.endswith("not needed to run")
