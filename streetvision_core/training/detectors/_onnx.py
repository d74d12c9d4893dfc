"""Half-size ONNX files: weights stored as float16, cast to float32 when the session loads (and folded there)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

_MIN_VALUES: Final = 64
"""Smaller constants (shapes, scales) stay as they are."""


def store_half(path: Path) -> None:
    """Rewrites an ONNX file in place: each float32 weight becomes a float16 one followed by a Cast.

    ONNX Runtime folds the casts when it loads, so the arithmetic stays in float32 and the file halves.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _MIN_VALUES:
            continue
        name = tensor.name
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.save(model, str(path))
