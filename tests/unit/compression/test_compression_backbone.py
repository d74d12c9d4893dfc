from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streetvision_core.compression.backbone import compress_backbone
from streetvision_core.errors import ModelError
from streetvision_core.models.head import Head
from streetvision_core.types import Frame


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
