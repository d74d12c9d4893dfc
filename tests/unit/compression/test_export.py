import numpy as np
import pytest
import torch

from streetvision_core.compression.compiled import compiled
from streetvision_core.compression.export import export_head, export_module, keep_if_equal
from streetvision_core.compression.runtimes import open_runtime
from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.models.head import Head


class Features(torch.nn.Module):
    """CLS and mean of the patches, as stage 1 uses a DINOv3."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels):
        out = self.backbone(pixel_values=pixels)
        return out.pooler_output, out.last_hidden_state[:, 5:].mean(1)


@pytest.fixture(scope="module")
def dinov3():
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=16
    )
    return Features(DINOv3ViTModel(config)).eval()


def test_export_module__dinov3_answers_the_same_at_any_batch_size(dinov3, tmp_path):
    example = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    made = export_module(dinov3, example, tmp_path / "dinov3.onnx", ["cls", "mean"])
    assert made.difference < 1e-4
    three = np.concatenate([example, example[:1]])
    with torch.inference_mode():
        wanted = dinov3(torch.from_numpy(three))
    for runtime in ("onnxruntime", "openvino"):
        if runtime == "openvino":
            pytest.importorskip("openvino")
        for got, want in zip(open_runtime(made.path, runtime, 1)(three), wanted, strict=True):
            assert got == pytest.approx(want.numpy(), abs=1e-4)


def test_export_module__what_cannot_be_traced_is_a_named_error(tmp_path):
    class Stubborn(torch.nn.Module):
        def forward(self, x):
            if torch.compiler.is_compiling():
                raise RuntimeError("this module looks at its data")
            return 2 * x

    with pytest.raises(ModelError, match="while exporting"):
        export_module(Stubborn(), np.ones((2, 3), np.float32), tmp_path / "no.onnx", ["y"])
    assert not list(tmp_path.iterdir())


def head(width=8):
    rng = np.random.default_rng(1)
    shapes = ((width, 5), (5, 1))
    return Head(
        rng.normal(size=width).astype(np.float32), np.full(width, 2, np.float32),
        tuple(rng.normal(size=s).astype(np.float32) for s in shapes), tuple(np.ones(s[1], np.float32) for s in shapes),
        "b", "p/1",
    )  # fmt: skip


def test_export_head__same_logits(tmp_path):
    made = export_head(head(), tmp_path / "head.onnx")
    x = np.random.default_rng(2).normal(size=(7, 8)).astype(np.float32)
    assert open_runtime(made.path, "onnxruntime", 1)(x)[0] == pytest.approx(head().predict_logit(x), rel=1e-5)


def test_keep_if_equal__refuses_another_answer(tmp_path):
    made = export_head(head(), tmp_path / "head.onnx")
    x = np.zeros((1, 8), np.float32)
    for wrong in (np.array([1e6]), np.zeros(2)):
        with pytest.raises(ModelError, match="nothing was written"):
            keep_if_equal(made.path.read_bytes(), tmp_path / "other.onnx", [(x, [wrong])], 1e-3)
    assert not (tmp_path / "other.onnx").exists()


def test_open_runtime__refuses_by_name(tmp_path, monkeypatch):
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError):
        open_runtime(tmp_path / "no.onnx", "onnxruntime", 1)
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(MissingExtraError, match="streetvision install openvino"):
        open_runtime(tmp_path / "no.onnx", "openvino", 1)


def test_compiled__answers_the_same_or_is_refused(monkeypatch):
    module = torch.nn.Linear(4, 3).eval()
    example = torch.randn(2, 4)
    monkeypatch.setattr(torch, "compile", lambda m, mode: m)
    assert compiled(module, example) is module
    monkeypatch.setattr(torch, "compile", lambda m, mode: lambda x: 2 * m(x))
    with pytest.raises(ModelError, match="serve the plain module"):
        compiled(module, example)

    def broken(m, mode):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ModelError, match=r"no C\+\+ compiler"):
        compiled(module, example)
