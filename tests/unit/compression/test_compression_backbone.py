from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from streetvision_core.compression.backbone import (
    OnnxTokens,
    compress_backbone,
    compress_head,
    compress_tokens,
    export_tokens,
)
from streetvision_core.compression.export import export_head
from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.dinov3 import TokenBackbone, open_timm, open_transformers
from streetvision_core.models.features import extract
from streetvision_core.models.head import Head
from streetvision_core.types import Frame
from tests import tiny_dinov3


def _head(backbone: str = "efficientnet-lite2") -> Head:
    weights = np.random.default_rng(0).normal(size=(2560, 1)).astype(np.float32)
    one, zero = np.ones(2560, np.float32), np.zeros(2560, np.float32)
    return Head(zero, one, (weights,), (np.zeros(1, np.float32),), backbone, "letterbox-260/1")


def _frames(n: int, seed: int) -> list[Frame]:
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 9, 16, 3), dtype=np.uint8)
    return [Frame.from_pixels(c.repeat(20, axis=0).repeat(20, axis=1), f"test:{i}") for i, c in enumerate(coarse)]


@pytest.mark.slow
def test_compress_backbone__real_weights(tmp_path: Path) -> None:
    report = compress_backbone(_head(), _frames(4, 0), _frames(4, 1), [0, 1, 0, 1], tmp_path, threads=1, rounds=4)
    static, dynamic = report.candidates
    assert static.model is not None
    assert static.model.bytes < 0.3 * report.fp32_bytes
    assert static.timing is not None
    assert dynamic.reason
    assert {p.parent for p in tmp_path.rglob("*int8*.onnx")} == {tmp_path / "int8"}


def test_compress_backbone__only_the_onnx_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="efficientnet-lite2"):
        compress_backbone(_head("timm/vit_base"), [], [], [], tmp_path)


def _token_backbone(folder: Path, implementation: str) -> TokenBackbone:
    getattr(tiny_dinov3, f"save_{implementation}")(folder)
    opened = {"timm": open_timm, "transformers": open_transformers}[implementation](folder)
    return TokenBackbone("tiny-dinov3", opened, "cpu", torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["timm", "transformers"])
def test_compress_tokens__export_is_equal_and_int8_faster_and_the_same_or_refused(
    tmp_path: Path, implementation: str
) -> None:
    backbone = _token_backbone(tmp_path / "model", implementation)
    judge, preprocessor = _frames(8, 1), get_preprocessor("letterbox-224/1")
    rows = extract(judge, backbone, preprocessor)
    weights = np.random.default_rng(0).normal(size=(backbone.dim, 1)).astype(np.float32)
    bias = -np.median(rows @ weights).astype(np.float32)
    zero, one = np.zeros(backbone.dim, np.float32), np.ones(backbone.dim, np.float32)
    head = Head(zero, one, (weights,), (np.array([bias], np.float32),), backbone.name, "letterbox-224/1")
    y = (head.predict_logit(rows) > 0).astype(int)
    source = export_tokens(backbone, preprocessor.view_size, tmp_path / "out" / "dinov3.onnx").path
    report = compress_tokens(head, backbone, source, _frames(6, 2), judge, y, tmp_path / "out", threads=1, rounds=10)
    assert extract(judge, OnnxTokens(backbone, source, 1), preprocessor) == pytest.approx(
        rows, abs=1e-3 * float(np.abs(rows).max())
    )
    assert report.fp32_mcc == 1
    (copy,) = report.candidates
    assert copy.model is not None and copy.speed is not None, copy.reason
    judged = copy.mcc is not None  # one that is clearly slower is not
    assert judged or not copy.speed.faster
    assert copy.accepted == (copy.speed.faster and judged and abs(copy.mcc - 1) <= 0.002 + 1e-9)
    assert report.kept == ("int8-static" if copy.accepted else "fp32")
    with pytest.raises(ModelError, match="a head of 'efficientnet-lite2'"):
        compress_tokens(_head(), backbone, source, [], [], [], tmp_path)


def test_compress_head__is_judged_like_every_copy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 64)).astype(np.float32)
    zero, one = np.zeros(64, np.float32), np.ones(64, np.float32)
    shapes = ((64, 32), (32, 1))
    layers = tuple(rng.normal(size=s).astype(np.float32) for s in shapes)
    head = Head(zero, one, layers, tuple(np.zeros(s[1], np.float32) for s in shapes), "b", "letterbox-224/1")
    y = (head.predict_logit(rows) > 0).astype(int)
    source = export_head(head, tmp_path / "head.onnx").path
    report = compress_head(source, rows[:64], rows[64:], y[64:], tmp_path, rounds=10)
    (copy,) = report.candidates
    assert report.fp32_mcc == 1 and report.rows == 136
    assert copy.model is not None and copy.timing is not None and copy.speed is not None
    judged = copy.mcc is not None
    assert judged or not copy.speed.faster
    assert copy.accepted == (copy.speed.faster and judged and copy.mcc >= 0.998)
