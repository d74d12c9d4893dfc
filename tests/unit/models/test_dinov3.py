"""DINOv3 through its real loading code, on small random weights of the same classes."""

from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import get_preprocessor, preprocessor_names
from streetvision_core.models import hub
from streetvision_core.models.dinov3 import TokenBackbone, open_timm, open_transformers
from streetvision_core.models.factory import load_models
from streetvision_core.models.features import extract, feature_dim
from streetvision_core.settings import load_settings
from streetvision_core.types import Frame
from tests.tiny_dinov3 import as_timm, save_timm, save_transformers

BASE = "timm/vit_base_patch16_dinov3.lvd1689m"
FACEBOOK = "facebook/dinov3-vitb16-pretrain-lvd1689m"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    save_timm(root / BASE)
    save_transformers(root / FACEBOOK)
    as_timm(root / FACEBOOK, root / "converted")
    for name in (BASE, FACEBOOK):
        hub.record(name, root / name)
    return root


@pytest.fixture
def settings(folder, monkeypatch):
    monkeypatch.setenv("SV_MODELS__FOLDER", str(folder))
    monkeypatch.setenv("SV_MODELS__DEVICE", "cpu")
    return load_settings("light")


@pytest.fixture(scope="module")
def views():
    return np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3)).astype(np.uint8)


def backbone(network):
    import torch

    return TokenBackbone("tiny", network, "cpu", torch.float32)


def test_from_timm__through_the_factory(settings, views):
    models = load_models(settings)
    loaded = models.backbone
    assert (loaded.name, loaded.dim) == (BASE, 64)
    rows = loaded.embed(views)
    assert rows.shape == (3, 64)
    assert rows.dtype == np.float32
    assert np.ptp(rows, axis=0).max() > 1e-3  # it looks at the pixels
    again = load_models(settings).backbone.embed(views)
    np.testing.assert_array_equal(again, rows)


def test_from_timm__class_token_and_mean_patch_by_hand(folder, views):
    import torch

    network = open_timm(folder / BASE)
    rows = backbone(network).embed(views)
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2) / 255
    pixels = (pixels - torch.tensor(network.mean)[:, None, None]) / torch.tensor(network.std)[:, None, None]
    with torch.inference_mode():
        pooled = network.model(pixels).numpy()  # opened with global_pool="token"
        tokens = network.model.forward_features(pixels).numpy()
        network.model.global_pool = "avg"  # what timm does unasked
        averaged = network.model(pixels).numpy()
    np.testing.assert_allclose(rows[:, :32], pooled, atol=1e-5)
    np.testing.assert_allclose(rows[:, 32:], tokens[:, 5:].mean(axis=1), atol=1e-5)
    assert np.abs(averaged - pooled).max() > 0.05


def test_open_transformers__same_feature_as_timm_with_the_same_weights(folder, views):
    theirs, ours = open_transformers(folder / FACEBOOK), open_timm(folder / "converted")
    assert (theirs.prefix, theirs.width, theirs.patch) == (ours.prefix, ours.width, ours.patch) == (5, 32, 16)
    a, b = backbone(theirs).embed(views), backbone(ours).embed(views)
    assert np.ptp(a, axis=0).max() > 1e-3
    np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("side", [224, 384, 512])
def test_embed__sizes_and_maps(settings, monkeypatch, side):
    monkeypatch.setenv("SV_MODELS__BACKBONE", FACEBOOK)
    loaded = load_models(load_settings("light")).backbone
    frame = Frame.from_pixels(np.full((300, 480, 3), 90, np.uint8), "test")
    views = get_preprocessor(f"letterbox-{side}/1").views(frame.pixels)
    assert loaded.embed(views).shape == (1, 64)
    ((stride, tokens),) = loaded.maps(views).items()
    assert (stride, tokens.shape) == (16, (1, 32, side // 16, side // 16))
    np.testing.assert_allclose(tokens.mean(axis=(2, 3)), loaded.embed(views)[:, 32:], atol=1e-5)


def test_embed__sides_that_are_no_multiples_of_the_patch(settings):
    loaded = load_models(settings).backbone
    with pytest.raises(ModelError, match="multiples of 16"):
        loaded.embed(np.zeros((1, 260, 260, 3), np.uint8))
    with pytest.raises(ModelError, match="ask for"):
        loaded.maps(np.zeros((1, 224, 224, 3), np.uint8), (8,))
    assert loaded.embed(np.zeros((0, 224, 224, 3), np.uint8)).shape == (0, 64)


def test_extract__mirrored_views_are_averaged(settings):
    loaded = load_models(settings).backbone
    pixels = np.random.default_rng(1).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    frames = [Frame.from_pixels(pixels, "a"), Frame.from_pixels(pixels[:, ::-1], "b")]
    plain = extract(frames, loaded, get_preprocessor("letterbox-240/1"))
    both = extract(frames, loaded, get_preprocessor("letterbox-flip-240/1"))
    assert plain.shape == both.shape == (2, feature_dim(loaded)) == (2, 64)
    np.testing.assert_allclose(both[0], plain.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    assert np.abs(plain[0] - plain[1]).max() > 1e-3


def test_feature_store__keeps_rows_by_backbone_and_preprocessing(settings, tmp_path):
    loaded, store = load_models(settings).backbone, FeatureStore(tmp_path / "features.db")
    frames = [Frame.from_pixels(np.full((50, 50, 3), v, np.uint8), str(v)) for v in (10, 200)]
    rows = store.features(frames, loaded, get_preprocessor("letterbox-224/1"))
    assert rows.shape == (2, 64)
    store.features(frames, loaded, get_preprocessor("letterbox-256/1"))
    assert len(store) == 4
    assert store.features([], loaded, get_preprocessor("letterbox-224/1")).shape == (0, 64)


def test_preprocessors__every_multiple_of_the_patch():
    for side in range(224, 513, 16):
        assert {f"letterbox-{side}/1", f"letterbox-flip-{side}/1"} <= set(preprocessor_names())
        assert get_preprocessor(f"letterbox-{side}/1").view_size == side


def test_extract__native_views_have_no_recipe(settings):
    with pytest.raises(ModelError, match="letterbox-S/1"):
        extract([], load_models(settings).backbone, get_preprocessor("native/1"))


@pytest.mark.parametrize("name", [BASE, FACEBOOK])
def test_open__a_folder_that_is_no_model(settings, monkeypatch, tmp_path, name):
    broken = Path(tmp_path) / name
    save_timm(broken)
    (broken / "config.json").write_text('{"architecture": "vit_small_patch16_dinov3"}')  # weights of another size
    hub.record(name, broken)
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path))
    monkeypatch.setenv("SV_MODELS__BACKBONE", name)
    with pytest.raises(ModelError, match="belong together"):
        _ = load_models(load_settings("light")).backbone
