from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

SIZE = 48


def tiny_net(path: Path, width: int = 64) -> Path:
    """uint8 images -> Conv, BatchNorm, ReLU6, Conv, mean, Gemm -> 4 numbers; the operators of the real backbone."""
    rng = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32), name)

    def constant(name: str, values: object) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(values, np.float32), name)

    nodes = [
        helper.make_node("Cast", ["images"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "scale"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "w1"], ["c1"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c1", "gamma", "beta", "mean", "var"], ["n1"]),
        helper.make_node("Clip", ["n1", "zero", "six"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], kernel_shape=[3, 3]),
        helper.make_node("Clip", ["c2", "zero", "six"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3"], ["out"]),
    ]
    constants = [
        constant("scale", 1 / 255),
        weights("w1", width, 3, 3, 3),
        constant("gamma", np.full(width, 1.5)),
        constant("beta", np.full(width, 0.1)),
        constant("mean", np.zeros(width)),
        constant("var", np.ones(width)),
        constant("zero", 0.0),
        constant("six", 6.0),
        weights("w2", width, width, 3, 3),
        weights("w3", width, 4),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 4])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def batches(n: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth random images, one per batch."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 1, 6, 6, 3), dtype=np.uint8)
    return list(coarse.repeat(SIZE // 6, axis=2).repeat(SIZE // 6, axis=3))


@pytest.fixture(scope="session")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_net(tmp_path_factory.mktemp("net") / "tiny.onnx")


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    return batches(8)
