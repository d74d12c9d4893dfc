"""The real huggingface_hub against a small hub on the loopback."""

import numpy as np
import pytest
from safetensors.numpy import save
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.errors import GatedModelError, HubUnreachableError, ManifestError, ModelError, NoSpaceError
from streetvision_core.models import hub
from streetvision_core.models.hub import pull as pulling
from streetvision_core.models.hub.pull import make_plan, pull
from streetvision_core.settings import load_settings
from tests.unit.models.hub.hub_server import COMMIT, running_hub

BASE = "timm/vit_base_patch16_dinov3.lvd1689m"
LARGE = "timm/vit_large_patch16_dinov3.lvd1689m"
WEIGHTS = save({"weight": np.arange(50_000, dtype=np.float32)})


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setattr(pulling, "_SPARE_BYTES", 0)
    with running_hub() as running:
        running.files[BASE] = running.files[LARGE] = {
            "config.json": b'{"architecture": "vit_base_patch16_dinov3"}',
            "model.safetensors": WEIGHTS,
            "pytorch_model.bin": b"a pickle",
            "README.md": b"# card",
        }
        yield running


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path / "models"))
    return load_settings("light")


def test_pull__plan_first_then_only_the_safe_files(server, settings):
    plan = make_plan([BASE, "rfdetr-small"], settings, server.url)
    assert not hub.root(settings).exists()  # nothing was written, and no weight was asked for
    assert not [path for path in server.asked if "/resolve/" in path]
    assert [file.name for file in plan.models[0].files] == ["config.json", "model.safetensors"]
    assert plan.missing_bytes == len(WEIGHTS) + 43
    assert plan.trained[0].made_by.startswith("notebooks/21")
    assert plan.to_dict()["models"][0]["licence"] == "DINOv3 License"

    (done,) = pull(plan, settings, server.url)
    assert (done.revision, done.files) == (COMMIT, 2)
    folder = hub.resolve(BASE, settings)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not list(folder.rglob("*.bin"))
    assert make_plan([BASE], settings, server.url).missing_bytes == 0


def test_pull__first_pull_pins_what_the_catalogue_cannot(server, settings):
    assert hub.entry(LARGE).revision == "unknown"
    pull(make_plan([LARGE], settings, server.url), settings, server.url)
    server.asked.clear()
    make_plan([LARGE], settings, server.url)
    assert any(COMMIT in path for path in server.asked)  # asks for the recorded commit, not for the newest
    make_plan([BASE], settings, server.url)
    assert any(hub.entry(BASE).revision in path for path in server.asked)


@pytest.fixture
def impatient(monkeypatch):
    """Small chunks and no waiting between the library's own retries."""
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 2**15)  # 10 MB, more than the whole file
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)


def test_pull__a_cut_connection_goes_on_within_the_file(server, settings, impatient):
    server.break_after = 120_000
    pull(make_plan([BASE], settings, server.url), settings, server.url)
    assert [int(asked.removeprefix("bytes=").split("-")[0]) for asked in server.ranges] == [98_304]
    assert hub.verify_folder(BASE, hub.folder_of(BASE, settings)).files == 2


def test_pull__a_stopped_pull_goes_on_with_the_missing_files(server, settings, impatient):
    second = save({"weight": np.arange(60_000, dtype=np.float32)})
    server.files[BASE] = {**server.files[BASE], "model.safetensors": second, "config.json": b"{}"}
    server.break_after, server.dies = 200_000, True
    with pytest.raises(HubUnreachableError, match="goes on with the files"):
        pull(make_plan([BASE], settings, server.url), settings, server.url)
    with pytest.raises(ManifestError):
        hub.resolve(BASE, settings)  # a half model is no model
    server.break_after = None
    server.dead = False
    server.asked.clear()
    plan = make_plan([BASE], settings, server.url)
    assert plan.missing_bytes == len(second)
    pull(plan, settings, server.url)
    assert not [path for path in server.asked if path.startswith("GET") and path.endswith("config.json")]
    assert hub.resolve(BASE, settings)


def test_pull__gated(server, settings):
    server.gated.add(BASE)
    with pytest.raises(GatedModelError, match="hf auth login"):
        pull(make_plan([BASE], settings, server.url), settings, server.url)


def test_pull__no_such_repository(server, settings):
    with pytest.raises(ModelError, match="no repository zai-org/GLM"):
        make_plan(["zai-org/GLM-4.6V-Flash"], settings, server.url)


def test_pull__no_network(settings):
    with pytest.raises(HubUnreachableError, match="HF_ENDPOINT"):
        make_plan([BASE], settings, "http://127.0.0.1:9")


def test_pull__no_disk(server, settings, monkeypatch):
    monkeypatch.setattr(pulling, "_SPARE_BYTES", 10**18)
    with pytest.raises(NoSpaceError, match="SV_MODELS__FOLDER"):
        pull(make_plan([BASE], settings, server.url), settings, server.url)
    assert not hub.root(settings).exists()


def test_pull__only_pickles(server, settings):
    server.files[BASE] = {"config.json": b"{}", "pytorch_model.bin": b"a pickle"}
    with pytest.raises(ModelError, match="pickles are never downloaded"):
        make_plan([BASE], settings, server.url)


def test_pull__bytes_that_are_not_the_hubs(server, settings):
    plan = make_plan([BASE], settings, server.url)
    server.lie = True
    lying = make_plan([BASE], settings, server.url)
    assert plan.models[0].files[1].sha256 != lying.models[0].files[1].sha256
    with pytest.raises(ManifestError, match="was removed"):
        pull(lying, settings, server.url)
    assert not (hub.folder_of(BASE, settings) / "model.safetensors").exists()


def test_cli__pull_asks_and_verify_answers(server, settings, monkeypatch):
    monkeypatch.setattr("streetvision_core.models.hub.pull.make_plan", lambda ids, s: make_plan(ids, s, server.url))
    monkeypatch.setattr(
        "streetvision_core.models.hub.pull.pull", lambda p, s, progress: pull(p, s, server.url, progress)
    )
    runner = CliRunner()
    refused = runner.invoke(app, ["models", "pull", BASE])
    assert "again with --yes" in str(refused.exception)
    assert not hub.root(settings).exists()
    assert runner.invoke(app, ["models", "pull", BASE, "--yes"]).exit_code == 0
    assert runner.invoke(app, ["models", "verify", BASE]).exit_code == 0
    (hub.folder_of(BASE, settings) / "model.safetensors").write_bytes(WEIGHTS[:-1] + b"x")
    assert runner.invoke(app, ["models", "verify", BASE]).exit_code == 1
