"""One ONNX file on more than one runtime, behind one call.

Example:
    >>> run = open_runtime(path, "openvino", threads=2)                    # doctest: +SKIP
    >>> run(images)[0].shape                                               # doctest: +SKIP
    (1, 1280)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import MissingExtraError, ModelError
from streetvision_core.models.session import open_session

Runtime = Literal["onnxruntime", "openvino"]
Run = Callable[[npt.NDArray[Any]], list[npt.NDArray[np.float32]]]
"""The model's one input in, all of its outputs in their order out."""


def open_runtime(path: Path, runtime: Runtime, threads: int = 2) -> Run:
    """Opens a model of one input on the CPU.

    Args:
        path: the ONNX file.
        runtime: which one.
        threads: of one inference.

    Raises:
        MissingExtraError: the runtime is not installed.
        ModelError: the runtime cannot load the file.
    """
    return _OPENERS[runtime](path, threads)


def _onnxruntime(path: Path, threads: int) -> Run:
    session = open_session(path, path.name, threads)
    name = session.get_inputs()[0].name
    return lambda x: [np.asarray(y) for y in session.run(None, {name: x})]


def _openvino(path: Path, threads: int) -> Run:
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    try:
        core = openvino.Core()
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(path), "CPU", options)
    except RuntimeError as error:
        raise ModelError(
            got=f"{path.name}: {str(error).strip().splitlines()[0]}",
            allowed="an ONNX model of operators that OpenVINO knows",
            action="serve it on onnxruntime",
            path=str(path),
        ) from error
    request = compiled.create_infer_request()

    def run(x: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        found = request.infer([x])
        return [np.array(found[output]) for output in compiled.outputs]

    return run


_OPENERS: Final[dict[Runtime, Callable[[Path, int], Run]]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}
