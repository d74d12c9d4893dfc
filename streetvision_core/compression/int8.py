"""int8 copies of an ONNX model through ONNX Runtime's quantiser.

Example:
    >>> quantize(fp32, folder / "static.onnx", calibrate_views, "static")  # doctest: +SKIP
    Quantized(path=..., method='static', bytes=6534120, sha256='…', seconds=14.2)
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import numpy.typing as npt

from streetvision_core.compression.reuse import Batch, digest_of, note, noted
from streetvision_core.errors import ModelError
from streetvision_core.storage import atomic_write_bytes, file_sha256

Method = Literal["static", "dynamic"]
QUANTIZED_OPERATORS: Final = ("Conv", "Gemm", "MatMul", "Add", "GlobalAveragePool", "Clip")


@dataclass(frozen=True, slots=True)
class Quantized:
    """A compressed copy.

    Attributes:
        path: the file, or the checkpoint's folder.
        method: how it was made.
        bytes: its size.
        sha256: its digest.
        seconds: what making it took.
        reused: it was made before, from the same model and frames, and taken again.
    """

    path: Path
    method: str
    bytes: int
    sha256: str
    seconds: float
    reused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "path": self.path.name, "seconds": round(self.seconds, 2)}


def quantize(
    source: Path, target: Path, batches: Iterable[Batch], method: Method = "static", reduce_range: bool | None = None
) -> Quantized:
    """Writes an int8 copy of a model; `target` is whole or unchanged.

    A copy that lies there already, made from the same model and frames in the same way, is taken as it is.

    Args:
        source: fp32 ONNX file.
        target: where the copy goes.
        batches: inputs as the model takes them, from CALIBRATE frames only; they fix the ranges of the activations.
        method: `static` uses the batches; `dynamic` measures ranges at run time and ignores them.
        reduce_range: 7-bit weights; None decides by the CPU, because AVX2 without VNNI saturates on 8 bits.

    Raises:
        ModelError: no batch, or the quantiser cannot treat this model.
    """
    started = time.perf_counter()
    reduced = not cpu_has_vnni() if reduce_range is None else reduce_range
    given = list(batches)
    made_from = digest_of(source, method, reduced, version("onnxruntime"), QUANTIZED_OPERATORS, *given)
    if (before := noted(target, made_from)) is not None:
        return Quantized(
            target, method, target.stat().st_size, file_sha256(target), float(before["seconds"]), reused=True
        )
    with tempfile.TemporaryDirectory() as scratch, quiet():
        prepared, made = Path(scratch) / "prepared.onnx", Path(scratch) / "int8.onnx"
        try:
            _prepare(source, prepared)
            _METHODS[method](prepared, made, given, reduced)
        except ModelError:
            raise
        except Exception as error:  # the quantiser raises whatever lies beneath it
            raise ModelError(
                got=f"{type(error).__name__} while quantising {source.name} ({method}): {error}",
                allowed="an ONNX model of operators that ONNX Runtime can quantise",
                action="serve the fp32 model; nothing was written",
                method=method,
            ) from error
        atomic_write_bytes(target, made.read_bytes())
    seconds = time.perf_counter() - started
    note(target, made_from, seconds=round(seconds, 2))
    return Quantized(target, method, target.stat().st_size, file_sha256(target), seconds)


class CalibrationBatches:
    """Feeds batches to the calibration, as ONNX Runtime's `CalibrationDataReader` does."""

    def __init__(self, input_name: str, batches: Sequence[Batch]) -> None:
        self._input = input_name
        self._batches = batches
        self._rest: Iterator[Batch] = iter(batches)

    def get_next(self) -> Mapping[str, npt.NDArray[Any]] | None:
        """The next batch by input name, None after the last."""
        batch = next(self._rest, None)
        return batch if batch is None or isinstance(batch, Mapping) else {self._input: batch}

    def rewind(self) -> None:
        """Starts again."""
        self._rest = iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def cpu_has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies 8-bit integers without saturating 16-bit sums."""
    try:
        return "vnni" in cpuinfo.read_text()
    except OSError:
        return False


def _prepare(source: Path, target: Path) -> None:
    """Infers shapes and folds BatchNorm into its convolution, which the quantiser asks for."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        quant_pre_process(source, target, auto_merge=True)
    except Exception:
        # Symbolic inference fails on some dynamic shapes; ONNX's own inference is enough for the quantiser.
        quant_pre_process(source, target, skip_symbolic_shape=True)


def _static(source: Path, target: Path, batches: Sequence[Batch], reduce_range: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    if not batches or any(a.size == 0 for b in batches for a in (b.values() if isinstance(b, Mapping) else (b,))):
        raise ModelError(
            got="no calibration batch",
            allowed="at least one batch of CALIBRATE frames",
            action="calibrate after the splits are made, or use the method 'dynamic'",
        )

    class Reader(CalibrationBatches, CalibrationDataReader):  # type: ignore[misc]
        """The base class is checked for by ONNX Runtime and cannot be imported before it is needed."""

    quantize_static(
        source,
        target,
        Reader(_input_name(source), batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTIZED_OPERATORS),
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _dynamic(source: Path, target: Path, batches: Sequence[Batch], reduce_range: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ConvInteger exists on the CPU for unsigned weights only.
    quantize_dynamic(source, target, weight_type=QuantType.QUInt8, reduce_range=reduce_range)


def _input_name(path: Path) -> str:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    constants = {initializer.name for initializer in graph.initializer}
    return str(next(value.name for value in graph.input if value.name not in constants))


@contextmanager
def quiet() -> Iterator[None]:
    """Quantiser and exporter log through the root logger, a line per operator, and warn of what they do not follow."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


_METHODS: Final[dict[Method, Callable[[Path, Path, Sequence[Batch], bool], None]]] = {
    "static": _static,
    "dynamic": _dynamic,
}
