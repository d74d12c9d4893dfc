"""An ONNX graph run by torch, operator by operator: what "eager" costs, on exactly the weights the runtimes run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional


def fold(source: Path, target: Path, shape: tuple[int, ...], outputs: tuple[str, ...] = ()) -> Path:
    """Fixes the input's shape, keeps some outputs only, and lets ONNX Runtime fold everything that is then constant."""
    import onnxruntime as ort

    model = onnx.load(source)
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        dim.dim_value = size
    kept = [output for output in model.graph.output if not outputs or output.name in outputs]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    with tempfile.TemporaryDirectory() as scratch:
        fixed = Path(scratch) / "fixed.onnx"
        onnx.save(model, fixed)
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(target)
        options.log_severity_level = 3
        ort.InferenceSession(str(fixed), options, providers=["CPUExecutionProvider"])
    return target


class TorchGraph:
    """Runs a folded graph of one input in torch.

    Raises:
        KeyError: an operator that is not among `OPERATORS`.
    """

    def __init__(self, path: Path) -> None:
        graph = onnx.load(path).graph
        self._constants = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
        self._input = next(i.name for i in graph.input if i.name not in self._constants)
        self._outputs = [output.name for output in graph.output]
        self._steps = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            self._steps.append((OPERATORS[node.op_type], list(node.input), list(node.output), attributes))

    def __call__(self, x: np.ndarray) -> list[np.ndarray]:
        values: dict[str, Any] = {**self._constants, self._input: torch.from_numpy(x), "": None}
        with torch.inference_mode():
            for operator, inputs, outputs, attributes in self._steps:
                made = operator([values[name] for name in inputs], attributes)
                values |= zip(outputs, made if isinstance(made, tuple) else (made,), strict=True)
        return [values[name].numpy() for name in self._outputs]


def _conv(x: list[Any], a: Mapping[str, Any]) -> Any:
    image, weight, bias = (*x, None)[:3]
    strides, dilations = a.get("strides", [1, 1]), a.get("dilations", [1, 1])
    pads = list(a.get("pads", [0, 0, 0, 0]))
    if a.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        sizes = zip(image.shape[2:], weight.shape[2:], strides, strict=True)
        total = [max(0, (-(-n // s) - 1) * s + k - n) for n, k, s in sizes]
        pads = [t // 2 for t in total] + [t - t // 2 for t in total]
    image = functional.pad(image, (pads[1], pads[3], pads[0], pads[2])) if any(pads) else image
    return functional.conv2d(image, weight, bias, strides, 0, dilations, a.get("group", 1))


def _slice(x: list[Any], _: Mapping[str, Any]) -> Any:
    data, starts, ends, *rest = x
    axes = rest[0].tolist() if rest and rest[0] is not None else list(range(len(starts)))
    steps = rest[1].tolist() if len(rest) > 1 else [1] * len(axes)
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        index = [slice(None)] * data.ndim
        index[axis] = slice(start, min(end, data.shape[axis]), step)
        data = data[tuple(index)]
    return data


def _resize(x: list[Any], a: Mapping[str, Any]) -> Any:
    size = x[3].tolist()[2:] if len(x) > 3 and x[3] is not None else None
    scale = None if size else x[2].tolist()[2:]
    return functional.interpolate(x[0], size=size, scale_factor=scale, mode=a.get("mode", b"nearest").decode())


def _split(x: list[Any], a: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(torch.split(x[0], x[1].tolist(), dim=a.get("axis", 0)))


def _mean(x: list[Any], a: Mapping[str, Any]) -> Any:
    axes = a["axes"] if "axes" in a else x[1].tolist()
    return x[0].mean(dim=list(axes), keepdim=bool(a.get("keepdims", 1)))


_TYPES = {1: torch.float32, 7: torch.int64, 10: torch.float16}
OPERATORS: dict[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {
    "Add": lambda x, a: x[0] + x[1],
    "Cast": lambda x, a: x[0].to(_TYPES[a["to"]]),
    "Clip": lambda x, a: torch.clamp(x[0], x[1], x[2]),
    "Concat": lambda x, a: torch.cat(x, dim=a["axis"]),
    "Conv": _conv,
    "Div": lambda x, a: x[0] / x[1],
    "Identity": lambda x, a: x[0],
    "MatMul": lambda x, a: x[0] @ x[1],
    "Mul": lambda x, a: x[0] * x[1],
    "ReduceMean": _mean,
    "Reshape": lambda x, a: x[0].reshape([n if n else x[0].shape[i] for i, n in enumerate(x[1].tolist())]),
    "Resize": _resize,
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Slice": _slice,
    "Softmax": lambda x, a: torch.softmax(x[0], dim=a.get("axis", -1)),
    "Split": _split,
    "Sub": lambda x, a: x[0] - x[1],
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
    "Unsqueeze": lambda x, a: x[0].reshape([*x[0].shape, 1]) if x[1].tolist() == [-1] else x[0].unsqueeze(int(x[1][0])),
}
