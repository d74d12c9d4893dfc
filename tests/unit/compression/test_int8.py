from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from streetvision_core.compression.int8 import CalibrationBatches, Method, cpu_has_vnni, quantize
from streetvision_core.errors import ModelError

Frames = list[np.ndarray]


def _run(path: Path, batch: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"images": batch})[0]


def _operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.parametrize(("method", "operator"), [("static", "QuantizeLinear"), ("dynamic", "ConvInteger")])
def test_quantize__is_integer_smaller_and_close(
    fp32: Path, frames: Frames, tmp_path: Path, method: Method, operator: str
) -> None:
    made = quantize(fp32, tmp_path / "int8.onnx", frames[1:], method)
    assert made.bytes == made.path.stat().st_size < 0.6 * fp32.stat().st_size
    assert operator in _operators(made.path)
    assert "BatchNormalization" in _operators(fp32)
    assert "BatchNormalization" not in _operators(made.path)
    probe = frames[0]
    want, got = _run(fp32, probe), _run(made.path, probe)
    assert np.abs(got - want).max() <= 0.05 * np.abs(want).max()


def test_quantize__same_input_same_bytes(fp32: Path, frames: Frames, tmp_path: Path) -> None:
    digests = {quantize(fp32, tmp_path / f"{n}.onnx", frames, "static").sha256 for n in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("changed", ["nothing", "a frame", "the range", "the method", "the copy", "the model"])
def test_quantize__takes_a_copy_again_only_if_it_would_be_the_same(
    fp32: Path, frames: Frames, tmp_path: Path, changed: str
) -> None:
    source, target = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    source.write_bytes(fp32.read_bytes())
    first = quantize(source, target, frames[:2], reduce_range=True)
    assert not first.reused
    if changed == "the copy":
        target.write_bytes(target.read_bytes()[:-1])
    if changed == "the model":
        model = onnx.load(source)
        model.producer_name = "somebody else"
        onnx.save(model, source)
    again = quantize(
        source,
        target,
        [frames[0], frames[2]] if changed == "a frame" else frames[:2],
        "dynamic" if changed == "the method" else "static",
        reduce_range=changed != "the range",
    )
    assert again.reused == (changed == "nothing")
    if again.reused:
        assert (again.sha256, again.bytes) == (first.sha256, first.bytes)
        assert again.seconds == pytest.approx(first.seconds, abs=0.01)


def test_quantize__takes_any_batch_size_as_before(fp32: Path, frames: Frames, tmp_path: Path) -> None:
    made = quantize(fp32, tmp_path / "int8.onnx", frames, "static")
    assert _run(made.path, np.concatenate(frames[:3])).shape == (3, 4)


@pytest.mark.parametrize("content", [b"no model", b""])
def test_quantize__refuses_and_writes_nothing(frames: Frames, tmp_path: Path, content: bytes) -> None:
    source, target = tmp_path / "broken.onnx", tmp_path / "int8.onnx"
    source.write_bytes(content)
    target.write_bytes(b"old")
    with pytest.raises(ModelError, match="serve the fp32 model; nothing was written"):
        quantize(source, target, frames[:2])
    assert target.read_bytes() == b"old"


def test_quantize__static_needs_frames(fp32: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no calibration batch"):
        quantize(fp32, tmp_path / "int8.onnx", [])
    assert not (tmp_path / "int8.onnx").exists()


def test_calibration_batches__ends_and_rewinds(frames: Frames) -> None:
    reader = CalibrationBatches("images", frames[:2])
    for _ in range(2):
        seen = [reader.get_next() for _ in range(3)]
        assert [list(b) if b else None for b in seen] == [["images"], ["images"], None]
        reader.rewind()
    assert len(reader) == 2


def test_cpu_has_vnni__reads_the_flags(tmp_path: Path) -> None:
    (tmp_path / "with").write_text("flags : avx2 avx512_vnni")
    (tmp_path / "without").write_text("flags : avx2")
    assert [cpu_has_vnni(tmp_path / name) for name in ("with", "without", "absent")] == [True, False, False]
