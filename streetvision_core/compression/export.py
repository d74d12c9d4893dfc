"""Torch modules and heads as ONNX files that answer as the original does, or no file at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.int8 import quiet
from streetvision_core.compression.runtimes import open_runtime
from streetvision_core.errors import ModelError
from streetvision_core.models.head import Head
from streetvision_core.storage import atomic_write_bytes, file_sha256

OPSET: Final = 18
TOLERANCE: Final = 1e-3
"""Largest difference to the original, as a share of its largest answer."""
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file and how near its answers are to the original's.

    Attributes:
        path: the file.
        sha256: of it.
        difference: largest absolute difference over all outputs, as a share of the largest answer.
    """

    path: Path
    sha256: str
    difference: float


def export_module(
    module: Any, example: Array, path: Path, outputs: Sequence[str], *, tolerance: float = TOLERANCE
) -> Exported:
    """Exports a torch module of one input, any batch size, through torch's dynamo exporter.

    Args:
        module: put into evaluation mode; returns a tensor or a tuple of tensors, one per name of `outputs`.
        example: an input, [N, ...] with N of at least 2: with 1, the exporter would fix the batch size.
        path: where the file goes; written only if its answers are right.
        outputs: names of the outputs.
        tolerance: see `TOLERANCE`.

    Raises:
        ModelError: the exporter cannot trace the module, or the file answers otherwise.
    """
    import torch

    module = module.eval()
    with torch.inference_mode():
        made = module(torch.from_numpy(np.ascontiguousarray(example)))
    wanted = [y.numpy() for y in (made if isinstance(made, tuple) else (made,))]
    data = onnx_of(module, example, outputs)
    return keep_if_equal(data, path, [(example, wanted), (example[:1], [y[:1] for y in wanted])], tolerance)


def onnx_of(module: Any, example: Array, outputs: Sequence[str]) -> bytes:
    """The ONNX model of a torch module, whatever it answers; the caller compares.

    Args:
        module: in evaluation mode.
        example: its input. With one row, the module is recorded for a batch of one by the older tracing exporter: some
            networks look at their batch size, and their makers export them in this way.
        outputs: names of the outputs.

    Raises:
        ModelError: the exporter cannot trace the module.
    """
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(example))
    any_batch = {"dynamo": True, "dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False}
    how: dict[str, Any] = any_batch if len(example) > 1 else {"dynamo": False}
    with tempfile.TemporaryDirectory() as scratch, quiet():
        file = Path(scratch) / "model.onnx"
        try:
            torch.onnx.export(
                module, (tensor,), str(file), opset_version=OPSET, input_names=["input"], output_names=list(outputs),
                verbose=False, **how,
            )  # fmt: skip
        except Exception as error:  # the exporter wraps whatever the module raised
            raise ModelError(
                got=f"{type(module).__name__}: {type(error).__name__} while exporting: {str(error).splitlines()[0]}",
                allowed="a module that torch.export can trace",
                action="serve it with torch (compression.compiled), or export it with its own package's exporter",
            ) from error
        return file.read_bytes()


def export_head(head: Head, path: Path, *, tolerance: float = TOLERANCE) -> Exported:
    """A head as ONNX: features [N, D] in, `logit` [N] out.

    Raises:
        ModelError: the file answers otherwise than the head.
    """
    from onnx import TensorProto, helper, numpy_helper

    arrays: dict[str, Array] = {"mean": head.mean, "scale": head.scale}
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["layer.0"]),
    ]
    last = len(head.weights) - 1
    for i, (weight, bias) in enumerate(zip(head.weights, head.biases, strict=True)):
        arrays |= {f"w.{i}": weight, f"b.{i}": bias}
        nodes.append(helper.make_node("Gemm", [f"layer.{i}", f"w.{i}", f"b.{i}"], [f"gemm.{i}"]))
        if i < last:
            nodes.append(helper.make_node("Relu", [f"gemm.{i}"], [f"layer.{i + 1}"]))
    arrays["place"] = np.array([0], np.int64)
    nodes.append(helper.make_node("Gather", [f"gemm.{last}", "place"], ["column"], axis=1))
    nodes.append(helper.make_node("Reshape", ["column", "flat"], ["logit"]))
    arrays["flat"] = np.array([-1], np.int64)
    constants = [
        numpy_helper.from_array(a if a.dtype == np.int64 else np.asarray(a, np.float32), name)
        for name, a in arrays.items()
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", head.dim])]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["N"])]
    graph = helper.make_graph(nodes, "head", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="streetvision")
    model.ir_version = 10
    probe = np.random.default_rng(0).normal(head.mean, head.scale, (16, head.dim)).astype(np.float32)
    return keep_if_equal(model.SerializeToString(), path, [(probe, [head.predict_logit(probe)])], tolerance)


def keep_if_equal(data: bytes, path: Path, probes: Sequence[tuple[Array, list[Array]]], tolerance: float) -> Exported:
    """Writes a model only if it answers probes as it should.

    Args:
        data: the ONNX model.
        path: where it goes.
        probes: inputs, and what each output must be.
        tolerance: see `TOLERANCE`.

    Raises:
        ModelError: an answer differs by more.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.onnx"
        file.write_bytes(data)
        run = open_runtime(file, "onnxruntime", 1)
        difference = max(_difference(run, x, wanted) for x, wanted in probes)
    if not difference <= tolerance:
        raise ModelError(
            got=f"an export whose answers differ by {difference:.2g} of the largest",
            allowed=f"at most {tolerance:g}",
            action="serve the original; nothing was written",
            difference=difference,
        )
    atomic_write_bytes(path, data)
    return Exported(path, file_sha256(path), difference)


def _difference(run: Callable[[Array], list[Array]], x: Array, wanted: list[Array]) -> float:
    got = run(x)
    if [y.shape for y in got] != [y.shape for y in wanted]:
        return float("inf")
    return max(
        float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12)) for a, b in zip(got, wanted, strict=True)
    )
