"""The benchmark's torch side runs the same network as the runtimes do, or its figures would mean nothing."""

import numpy as np
import pytest

from streetvision_core.compression.runtimes import open_runtime
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER
from tests.perf.torch_graph import TorchGraph, fold


def test_torch_graph__yolo12n_equals_onnxruntime(tmp_path):
    path = fold(WEIGHTS_FOLDER / "yolo12n.onnx", tmp_path / "yolo.onnx", (1, 3, 384, 640))
    x = np.random.default_rng(0).random((1, 3, 384, 640), np.float32)
    want, got = open_runtime(path, "onnxruntime", 1)(x)[0], TorchGraph(path)(x)[0]
    assert got == pytest.approx(want, abs=1e-2)
    assert np.abs(got[0, 4:] - want[0, 4:]).max() < 1e-3
