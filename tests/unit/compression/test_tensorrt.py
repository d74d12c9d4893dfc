import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from streetvision_core.compression import tensorrt as ours
from streetvision_core.compression.check import check_copies
from streetvision_core.compression.runtimes import open_runtime
from streetvision_core.errors import MissingExtraError, ModelError


def test_cast_fp16__half_the_size_and_the_same_answers(fp32, frames, tmp_path):
    made = ours.cast_fp16(fp32, tmp_path / "fp16.onnx")
    kinds = {i.data_type for i in onnx.load(made.path).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert made.bytes < 0.65 * fp32.stat().st_size
    want, got = (open_runtime(path, "onnxruntime", 1)(frames[0])[0] for path in (fp32, made.path))
    assert got.dtype == np.float32
    assert np.abs(got - want).max() <= 0.01 * np.abs(want).max()


def test_cast_fp16__goes_through_the_same_check(fp32, frames, tmp_path):
    makers = {"fp16": lambda: ours.cast_fp16(fp32, tmp_path / "fp16.onnx")}

    def answers(path: Path):
        return open_runtime(path, "onnxruntime", 1)(np.concatenate(frames))[0][:, 0] * 0 + 0.9

    report = check_copies(
        fp32, makers, answers, lambda path: lambda: answers(path), np.arange(len(frames)) % 2, rounds=3
    )
    assert report.candidates[0].method == "fp16"
    assert report.kept in ("fp32", "fp16")


def test_build_engine__without_tensorrt(fp32, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match="streetvision install tensorrt"):
        ours.build_engine(fp32, tmp_path / "x.engine", {})


def test_build_engine__with_the_bindings_alone(fp32, tmp_path, monkeypatch):
    """Where the vendor's index is out of reach, tensorrt-cu13-bindings installs and tensorrt-cu13-libs does not."""
    (tmp_path / "tensorrt.py").write_text(
        "raise ImportError('libnvonnxparser.so.11: cannot open shared object file: No such file or directory')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(ModelError, match=r"without its libraries: libnvonnxparser.so.11.*do: reach that index"):
        ours.build_engine(fp32, tmp_path / "x.engine", {})


def test_build_engine__without_a_gpu(fp32, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="11.4.0.106"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ModelError, match=r"got no NVIDIA GPU.*do: build it there"):
        ours.build_engine(fp32, tmp_path / "x.engine", {})
    assert not (tmp_path / "x.engine").exists()


@pytest.mark.parametrize(("version", "known"), [("10.16.1.11", True), ("11.4.0.106", True), ("8.6.1", False)])
def test_tensorrt__versions(version, known, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version))
    if known:
        assert ours._tensorrt().__version__ == version
    else:
        with pytest.raises(ModelError, match=r"10.x or 11.x"):
            ours._tensorrt()


def test_strongly_typed__a_flag_in_10_and_none_in_11():
    ten = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1))
    eleven = SimpleNamespace(NetworkDefinitionCreationFlag=SimpleNamespace())
    assert (ours._strongly_typed(ten), ours._strongly_typed(eleven)) == (2, 0)


def test_check_note__belongs_to_one_gpu_and_version(tmp_path):
    engine = tmp_path / "m.engine"
    with pytest.raises(ModelError, match="without a readable note"):
        ours.check_note(engine, "11.4", "H100")
    note = {"tensorrt": "11.4", "gpu": "H100", "source_sha256": "0" * 64}
    engine.with_suffix(".json").write_text(json.dumps(note))
    assert ours.check_note(engine, "11.4", "H100").source_sha256 == "0" * 64
    with pytest.raises(ModelError, match="build it again on this machine"):
        ours.check_note(engine, "11.4", "RTX 4090")
