import json
import os

import numpy as np
import pytest
from safetensors.numpy import save
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.errors import ManifestError, ModelError
from streetvision_core.models import hub
from streetvision_core.models.hub import store
from streetvision_core.settings import load_settings, profile_names

MODEL = "timm/vit_base_patch16_dinov3.lvd1689m"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path / "models"))
    return load_settings("light")


@pytest.fixture
def folder(settings):
    path = hub.folder_of(MODEL, settings)
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(save({"weight": np.arange(100, dtype=np.float32)}))
    (path / "config.json").write_text("{}")
    return path


@pytest.mark.parametrize("profile", ["light", "platinum"])
def test_catalogue__has_every_model_of_the_big_profiles(profile):
    chosen = load_settings(profile).models
    names = {
        chosen.backbone,
        *chosen.detectors,
        chosen.vlm,
        chosen.video_vlm,
        chosen.image_text,
        chosen.ocr,
        chosen.segmenter,
    }
    names.add(chosen.generator)
    assert {one.id for one in hub.wanted(load_settings(profile))} == names


def test_catalogue__entries_are_whole():
    assert len({one.id for one in hub.entries()}) == len(hub.entries())
    for one in hub.entries():
        assert one.revision == "unknown" or len(one.revision) == 40
        assert (one.revision == "unknown") != bool(one.revision_from)
        assert one.params_from
        assert one.licence
    assert hub.wanted(load_settings("embedded")) == ()
    assert "embedded" in profile_names()


def test_catalogue__bytes_follow_from_the_parameters():
    glm = hub.entry("zai-org/GLM-4.6V-Flash")
    assert glm.weight_bytes == 20_580_000_000
    with pytest.raises(ModelError, match="streetvision models list"):
        hub.entry("z-ai/GLM-4.6V-Flash-9B")


def test_resolve__absent_says_the_command(settings):
    with pytest.raises(ModelError, match=f"streetvision models pull {MODEL}"):
        hub.resolve(MODEL, settings)
    with pytest.raises(ModelError, match="21_finetune_rfdetr"):
        hub.resolve("rfdetr-medium", settings)
    with pytest.raises(ModelError, match="verify mine --record"):
        hub.resolve("mine", settings)


def test_resolve__a_folder_filled_by_hand_must_be_recorded(settings, folder):
    with pytest.raises(ManifestError, match="--record"):
        hub.resolve(MODEL, settings)
    assert hub.record(MODEL, folder).revision == "local"
    assert hub.resolve(MODEL, settings) == folder


def test_resolve__takes_digests_only_of_what_changed(settings, folder, monkeypatch):
    hub.record(MODEL, folder)
    taken = []
    real = store.file_sha256
    monkeypatch.setattr(store, "file_sha256", lambda path: taken.append(path.name) or real(path))
    hub.resolve(MODEL, settings)
    assert taken == []
    weights = folder / "model.safetensors"
    os.utime(weights, ns=(1, 1))
    hub.resolve(MODEL, settings)
    assert taken == ["model.safetensors"]
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ManifestError, match="another sha256"):
        hub.resolve(MODEL, settings)


def test_resolve__missing_and_shortened_files(settings, folder):
    hub.record(MODEL, folder)
    (folder / "config.json").write_text("")
    with pytest.raises(ManifestError, match="0 bytes instead of 2"):
        hub.resolve(MODEL, settings)
    (folder / "config.json").unlink()
    with pytest.raises(ManifestError, match=r"no file config\.json"):
        hub.resolve(MODEL, settings)


@pytest.mark.parametrize("name", ["model.pt", "sub/pytorch_model.bin"])
def test_resolve__pickles_are_refused(settings, folder, name):
    hub.record(MODEL, folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04")
    with pytest.raises(ModelError, match="can run code"):
        hub.resolve(MODEL, settings)
    with pytest.raises(ModelError, match="can run code"):
        hub.record(MODEL, folder)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": "model/9"}', '{"format": "model/1", "revision": "x", "files": {"../a": {}}}']
)
def test_resolve__broken_manifest(settings, folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError):
        hub.resolve(MODEL, settings)


def test_record__no_weights(settings, folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        hub.record(MODEL, folder)


def test_cli__list_and_verify(settings, folder):
    runner = CliRunner()
    listed = json.loads(runner.invoke(app, ["models", "list", "--profile", "light", "--json"]).stdout)
    assert {row["id"] for row in listed["models"]} >= {MODEL, "rfdetr-small", "yolo12x"}
    assert not any(row["here"] for row in listed["models"])
    assert runner.invoke(app, ["models", "verify", MODEL, "--json"]).exit_code == 1
    recorded = runner.invoke(app, ["models", "verify", MODEL, "--record", "--json"])
    assert recorded.exit_code == 0
    assert json.loads(recorded.stdout)["models"][0]["files"] == 2
    assert "no model named" in str(runner.invoke(app, ["models", "pull", "--profile", "embedded"]).exception)


def onnx_file(location=None):
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1], np.ones(1, np.float32).tobytes(), raw=True)
    if location:
        onnx.external_data_helper.set_external_data(weight, location)
    node = helper.make_node("Add", ["x", "w"], ["y"])
    return helper.make_model(helper.make_graph([node], "g", value[:1], value[1:], [weight])).SerializeToString()


WHOLE = save({"weight": np.arange(100, dtype=np.float32)})
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 1234567\n"
PAGE = b"\n<!DOCTYPE html><html><head><title>429 Too Many Requests</title></head></html>"


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("model.safetensors", POINTER, "git-LFS pointer of 132 bytes"),
        ("model.safetensors", PAGE, "is a page"),
        ("model.safetensors", WHOLE[:-1], "no whole safetensors"),
        ("model.safetensors", WHOLE + b"\0", "no whole safetensors"),
        ("model.safetensors", WHOLE[:30], "no whole safetensors"),
        ("model.safetensors", b"", "is empty"),
        ("model.safetensors", save({}), "no tensor"),
        ("model.safetensors", WHOLE, ""),
        ("model.onnx", POINTER, "git-LFS pointer"),
        ("model.onnx", PAGE, "is a page"),
        ("model.onnx", onnx_file()[:-5], "no whole ONNX"),
        ("model.onnx", onnx_file("weights.data"), "weights.data, which is not there"),
        ("model.onnx", onnx_file(), ""),
        ("tokenizer.json", POINTER, "git-LFS pointer"),
        ("config.json", b'{"a": 1', "no whole JSON"),
        ("config.json", PAGE, "is a page"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-2.safetensors"}}', "names model-2.safetensors"),
        ("model.safetensors.index.json", b'{"weight_map": {"weight": "model.safetensors"}}', ""),
        ("chat_template.jinja", b"{% if x %}<html>{% endif %}", ""),
        ("tokenizer.model", PAGE, "is a page"),
    ],
)
def test_record__takes_no_file_that_is_not_what_its_name_says(folder, name, data, fault):
    (folder / name).write_bytes(data)
    if not fault:
        hub.record(MODEL, folder)
        return
    with pytest.raises(ModelError, match=fault) as caught:
        hub.record(MODEL, folder)
    assert name in caught.value.got
    assert f"streetvision models pull {MODEL}" in caught.value.action
    assert not (folder / "manifest.json").exists()


def test_cli_verify__record_says_what_is_wrong_with_a_pointer(settings, folder):
    (folder / "model.safetensors").write_bytes(POINTER)
    done = CliRunner().invoke(app, ["models", "verify", MODEL, "--record", "--profile", "light", "--json"])
    assert done.exit_code == 1
    assert "git-LFS pointer" in json.loads(done.stdout)["models"][0]["got"]


def test_require__names_every_missing_model_and_its_commands(settings, folder, monkeypatch):
    with pytest.raises(ModelError) as caught:
        hub.require(settings)
    needed = [settings.models.backbone, settings.models.vlm, settings.models.ocr]
    assert f"streetvision models pull {' '.join(needed)}" in caught.value.action
    assert "make rfdetr-small: notebooks/21_finetune_rfdetr.ipynb" in caught.value.action
    hub.record(MODEL, folder)
    monkeypatch.setenv("SV_VLM__BACKEND", "server")  # the image-text model is elsewhere
    with pytest.raises(ModelError) as caught:
        hub.require(load_settings("light"))
    assert f"streetvision models pull {settings.models.ocr};" in caught.value.action
    hub.require(load_settings("embedded"))


def test_cli_predict__says_what_is_missing_before_any_work(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path / "workspace"))
    (tmp_path / "a.jpg").write_bytes(b"")
    done = CliRunner().invoke(app, ["predict", str(tmp_path / "a.jpg"), "--profile", "light"])
    assert isinstance(done.exception, ModelError)
    assert f"streetvision models pull {MODEL}" in done.exception.action
    assert not (tmp_path / "workspace").exists()


def test_cli_list__keeps_its_last_column_at_80(settings, folder, monkeypatch):
    hub.record(MODEL, folder)
    monkeypatch.setattr("streetvision_core.cli._output.stdout._width", 80)
    lines = CliRunner().invoke(app, ["models", "list"]).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if "id" in line).split()[-1] == "here"
    ends = [line.split()[-1] for line in lines if line.strip() and line.split()[-1] in ("yes", "no")]
    assert ends.count("yes") == 1
    assert len(ends) == len(hub.entries())
