"""TensorRT engines, 10.x and 11.x: from an fp32 ONNX file to fp16 ONNX (checked on any machine), then to an engine.

TensorRT 11 builds strongly typed networks only: precision is what the ONNX file says, and the flags FP16 and INT8 are
gone. 10.x can do the same, so there is one path: cast first, then build strongly typed. An engine belongs to the GPU
and the TensorRT version it was built with, which is written beside it and checked before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from streetvision_core.compression.int8 import Quantized, quiet
from streetvision_core.errors import MissingExtraError, ModelError, install_command
from streetvision_core.storage import atomic_write_bytes, atomic_write_json, file_sha256

MAJORS: Final = (10, 11)
WORKSPACE_BYTES: Final = 2 * 2**30
FP32_OPERATORS: Final = ("LayerNormalization", "ReduceMean", "Softmax", "Pow", "Sqrt")
"""What overflows or loses too much in half precision stays in fp32."""


@dataclass(frozen=True, slots=True)
class EngineNote:
    """What an engine belongs to.

    Attributes:
        tensorrt: version it was built with.
        gpu: name of the GPU.
        source_sha256: of the ONNX file.
    """

    tensorrt: str
    gpu: str
    source_sha256: str


def cast_fp16(source: Path, target: Path) -> Quantized:
    """Writes an fp16 copy whose inputs and outputs stay fp32; it runs on ONNX Runtime as well.

    Args:
        source: fp32 ONNX file.
        target: where the copy goes.

    Raises:
        ModelError: the converter cannot treat this model.
    """
    import time

    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    started = time.perf_counter()
    try:
        with quiet():
            model = convert_float_to_float16(
                onnx.load(source), keep_io_types=True, op_block_list=list(FP32_OPERATORS), disable_shape_infer=False
            )
    except Exception as error:  # the converter raises whatever lies beneath it
        raise ModelError(
            got=f"{type(error).__name__} while casting {source.name}: {error}",
            allowed="an ONNX model in fp32",
            action="serve the fp32 model; nothing was written",
        ) from error
    atomic_write_bytes(target, model.SerializeToString())
    seconds = time.perf_counter() - started
    return Quantized(target, "fp16", target.stat().st_size, file_sha256(target), seconds)


def build_engine(source: Path, target: Path, shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> EngineNote:
    """Builds an engine for this GPU.

    Args:
        source: an ONNX file in the precision that is wanted, e.g. made by `cast_fp16`.
        target: where the engine goes; its note goes beside it, ending in `.json`.
        shapes: by input, the smallest, usual and largest shape.

    Raises:
        MissingExtraError: TensorRT is not installed.
        ModelError: its libraries or a GPU are missing, its version is not one this was written for, or it cannot parse
            or build the model.
    """
    trt, gpu = _tensorrt(), _gpu()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(source.read_bytes()):
        said = "; ".join(str(parser.get_error(i)) for i in range(min(3, parser.num_errors)))
        raise _failed(f"{source.name}: {said}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    profile = builder.create_optimization_profile()
    for name, (least, usual, most) in shapes.items():
        profile.set_shape(name, least, usual, most)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise _failed(f"no engine for {source.name}")
    note = EngineNote(str(trt.__version__), gpu, file_sha256(source))
    atomic_write_bytes(target, bytes(engine))
    atomic_write_json(target.with_suffix(".json"), asdict(note))
    return note


def check_note(engine: Path, tensorrt: str, gpu: str) -> EngineNote:
    """The note of an engine, if it belongs to this TensorRT and this GPU.

    Raises:
        ModelError: it was built for others, or has no note.
    """
    try:
        note = EngineNote(**json.loads(engine.with_suffix(".json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise _failed(f"{engine.name} without a readable note ({error})") from error
    if (note.tensorrt, note.gpu) != (tensorrt, gpu):
        raise ModelError(
            got=f"{engine.name}, built with TensorRT {note.tensorrt} for {note.gpu}",
            allowed=f"an engine of TensorRT {tensorrt} for {gpu}",
            action="build it again on this machine",
        )
    return note


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ModuleNotFoundError as error:
        raise MissingExtraError("tensorrt", "tensorrt") from error
    except ImportError as error:  # the bindings are there and what they are bound to is not
        raise ModelError(
            got=f"TensorRT without its libraries: {error}",
            allowed="the package tensorrt with tensorrt-cu13-libs, which downloads from pypi.nvidia.com",
            action=f"reach that index and run: {install_command('tensorrt')}",
        ) from error
    major = int(str(tensorrt.__version__).split(".")[0])
    if major not in MAJORS:
        raise ModelError(
            got=f"TensorRT {tensorrt.__version__}",
            allowed=" or ".join(f"{m}.x" for m in MAJORS),
            action=f"run: {install_command('tensorrt')}",
        )
    return tensorrt


def _strongly_typed(trt: Any) -> int:
    """The creation flag of 10.x; in 11.x networks are strongly typed without one."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        raise ModelError(
            got="no NVIDIA GPU that torch can use",
            allowed="the GPU that will run the engine; it belongs to that one",
            action="build it there; here serve the ONNX file, or cast_fp16's, on ONNX Runtime",
        )
    return str(torch.cuda.get_device_name())


def _failed(got: str) -> ModelError:
    return ModelError(
        got=got,
        allowed="an ONNX model that TensorRT can build, and memory for it",
        action="serve the ONNX file on ONNX Runtime, or the module with torch.compile",
    )
