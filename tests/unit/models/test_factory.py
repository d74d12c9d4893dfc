from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from streetvision_core.errors import MissingExtraError, ModelError, SettingsError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models import adapters
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.settings import load_settings


def test_load_models__embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SV_PATHS__DATA", str(tmp_path))
    models = load_models(load_settings("embedded"))
    assert not list(tmp_path.iterdir())  # nothing is loaded before it is used
    assert models.backbone.name == "efficientnet-lite2"
    assert models.backbone is models.backbone
    assert models.preprocessor.name == load_settings("embedded").models.preprocessing
    assert models.vlm is None
    assert models.ocr is not None
    assert models.ocr.name == "rapidocr"
    assert list((tmp_path / "cache").glob("*.onnx"))


@pytest.mark.parametrize("profile", ["light", "platinum"])
def test_load_models__a_name_that_no_adapter_serves(profile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SV_MODELS__OCR", "tea-leaves")
    with pytest.raises(ModelError, match="no adapter serves") as caught:
        _ = load_models(load_settings(profile)).ocr
    assert "rapidocr" in caught.value.allowed
    assert "SV_PROFILE=embedded" in str(caught.value)


def test_find_adapter__without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    line = adapters.Adapter("ocr", "far/*", "nowhere:load", "no_such_package", "gpu")
    monkeypatch.setattr(adapters, "ADAPTERS", (*adapters.ADAPTERS, line))
    with pytest.raises(MissingExtraError, match="streetvision install gpu"):
        adapters.find_adapter("ocr", "far/away")


def test_adapters__every_line_leads_to_a_function() -> None:
    for adapter in adapters.ADAPTERS:
        module, function = adapter.loader.split(":")
        assert callable(getattr(import_module(module), function))


def test_load_models__unknown_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SV_MODELS__PREPROCESSING", "letterbox-9/9")
    with pytest.raises(SettingsError):
        load_models(load_settings("embedded"))


def test_load_models__no_ocr_no_detectors() -> None:
    settings = load_settings("embedded")
    chosen = settings.models.model_copy(update={"ocr": None, "detectors": ()})
    models = load_models(settings.model_copy(update={"models": chosen}))
    assert models.ocr is None
    assert models.detectors == ()


def test_model_set__loads_once_for_all_threads() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    models = ModelSet(make, get_preprocessor("letterbox-224/1"))  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: id(models.backbone), range(32)))
    assert len(made) == len(got) == 1


def test_model_set__knows_what_trained_the_detectors() -> None:
    assert any(group.startswith("gtsdb") for group in load_models(load_settings("embedded")).seen_groups)
    assert load_models(load_settings("platinum")).seen_groups == frozenset()
