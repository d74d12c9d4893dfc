"""LoRA on both implementations of DINOv3, small and random, through the real peft."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from streetvision_core.errors import DataError, LeakError
from streetvision_core.models import hub
from streetvision_core.models.factory import load_models
from streetvision_core.settings import load_settings
from streetvision_core.storage import file_sha256
from streetvision_core.training.lora import LoraSpec, _loss, train_lora
from streetvision_core.types import Frame
from tests.tiny_dinov3 import save_timm, save_transformers

BASES = {
    "timm": "timm/vit_base_patch16_dinov3.lvd1689m",
    "transformers": "facebook/dinov3-vitb16-pretrain-lvd1689m",
}
SPEC = LoraSpec(rank=2, epochs=3, batch=4, learning_rate=1e-2, dropout=0.0)


@dataclass(frozen=True)
class Stripe:
    """An image with an orange stripe, or without one."""

    label: int | None
    group: str
    seed: int = 0

    def read(self):
        pixels = np.random.default_rng(self.seed).integers(60, 120, (48, 64, 3)).astype(np.uint8)
        if self.label:
            pixels[20:30] = (255, 120, 0)
        return Frame.from_pixels(pixels, f"stripe:{self.seed}")


TRAIN = [Stripe(i % 2, f"train-{i}", i) for i in range(12)]
SELECT = [Stripe(i % 2, f"select-{i}", 100 + i) for i in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    save_timm(root / BASES["timm"])
    save_transformers(root / BASES["transformers"])
    for name in BASES.values():
        hub.record(name, root / name)
    return root


@pytest.fixture
def settings(folder, monkeypatch):
    monkeypatch.setenv("SV_MODELS__FOLDER", str(folder))
    monkeypatch.setenv("SV_MODELS__DEVICE", "cpu")
    return load_settings("light")


def features(monkeypatch, backbone):
    monkeypatch.setenv("SV_MODELS__BACKBONE", backbone)
    loaded = load_models(load_settings("light")).backbone
    views = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    return loaded, loaded.embed(views)


@pytest.mark.parametrize("implementation", ["timm", "transformers"])
def test_train_lora__a_backbone_that_learned_and_loads(settings, folder, monkeypatch, implementation):
    base = BASES[implementation]
    before = file_sha256(folder / base / "model.safetensors")
    steps = []
    name = f"tiny-{implementation}"
    result = train_lora(base, TRAIN, SELECT, name, settings, SPEC, progress=lambda done, total: steps.append(done))
    assert steps == list(range(1, 10))
    assert result.select_log_loss[result.best_epoch - 1] == min(result.select_log_loss) < 0.69
    assert result.trained_parameters < 12_000
    assert file_sha256(folder / base / "model.safetensors") == before
    weights = load_file(folder / "lora" / name / "adapter_model.safetensors")
    assert all("lora_" in key for key in weights)
    assert len(weights) == (2 * 4 * 2 if implementation == "timm" else 2 * 6 * 2)  # two blocks, A and B of each layer
    loaded, adapted = features(monkeypatch, result.backbone)
    assert loaded.name.startswith(f"lora/{name}@")  # another make in the feature store than its base
    _, plain = features(monkeypatch, base)
    assert np.abs(adapted - plain).max() > 1e-2
    np.testing.assert_array_equal(features(monkeypatch, result.backbone)[1], adapted)


def test_train_lora__leaks_and_missing_classes(settings):
    with pytest.raises(LeakError):
        train_lora(BASES["timm"], TRAIN, [*SELECT, replace(SELECT[0], group="train-1")], "x", settings, SPEC)
    with pytest.raises(DataError, match="both classes"):
        train_lora(BASES["timm"], TRAIN[::2], SELECT, "x", settings, SPEC)
    with pytest.raises(DataError, match="unknown label"):
        train_lora(BASES["timm"], TRAIN, [Stripe(None, "s")], "x", settings, SPEC)


def test_loss__focal_by_hand():
    import torch

    logits, labels = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
    p = np.array([0.5, 1 - 1 / (1 + np.exp(-2.0))])
    assert float(_loss(logits, labels, replace(SPEC, loss="cross-entropy"))) == pytest.approx(-np.log(p).mean())
    assert float(_loss(logits, labels, SPEC)) == pytest.approx((-((1 - p) ** 2) * np.log(p)).mean())
