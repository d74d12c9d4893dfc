from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from streetvision_core.compression import check
from streetvision_core.compression.benchmark import interleave
from streetvision_core.compression.check import FP32, compress
from streetvision_core.compression.int8 import Method
from streetvision_core.compression.report import MAX_MCC_CHANGE, CompressionReport

Frames = list[np.ndarray]
Y = np.arange(2000) % 2
RIGHT = np.where(Y == 1, 0.9, 0.1)


def _wrong(p: np.ndarray, n: int) -> np.ndarray:
    changed = p.copy()
    changed[:n] = 1 - changed[:n]
    return changed


def _compress(
    fp32: Path,
    folder: Path,
    frames: Frames,
    answers: Callable[[Path], np.ndarray],
    seconds: Callable[[Path], float],
    methods: Sequence[Method] = ("static", "dynamic"),
) -> CompressionReport:
    """On a clock of its own: on a busy machine three milliseconds are not always longer than one."""
    now = [0.0]

    def make_run(path: Path) -> Callable[[], object]:
        return lambda: now.__setitem__(0, now[0] + seconds(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "interleave", partial(interleave, clock=lambda: now[0]))
        return compress(fp32, folder, frames, answers, make_run, Y, rounds=12, methods=methods)


def _pick(**values: float) -> Callable[[Path], float]:
    return lambda path: next((v for name, v in values.items() if name in path.stem), values["fp32"])


FAST_STATIC = _pick(static=0.001, dynamic=0.006, fp32=0.003)


def test_compress__keeps_the_copy_that_is_faster_and_the_same(fp32: Path, tmp_path: Path, frames: Frames) -> None:
    report = _compress(fp32, tmp_path, frames, lambda path: RIGHT, FAST_STATIC)
    assert report.kept == "int8-static"
    assert report.path == tmp_path / "tiny-int8-static.onnx"
    static, dynamic = report.candidates
    assert static.accepted
    assert static.decisions_changed == 0
    assert not dynamic.accepted
    assert dynamic.reason.startswith("refused, it is clearly slower: 0.50 x the speed of fp32; in 5 brief rounds ")
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["file"] == report.path.name


def test_compress__a_clearly_slower_copy_is_not_judged(fp32: Path, tmp_path: Path, frames: Frames) -> None:
    asked: list[str] = []

    def answers(path: Path) -> np.ndarray:
        asked.append(path.stem)
        return RIGHT

    report = _compress(fp32, tmp_path, frames, answers, FAST_STATIC)
    assert asked == ["tiny", "tiny-int8-static"]
    static, dynamic = report.candidates
    assert static.timing is not None and len(static.timing.seconds) == 12
    assert dynamic.timing is not None and len(dynamic.timing.seconds) == check.TRIAL_ROUNDS
    assert dynamic.speed is not None and dynamic.speed.ratio == pytest.approx(2)
    assert dynamic.mcc is None and dynamic.decisions_changed is None
    assert "its quickest inference took 0.006 s, the slowest of fp32 0.003 s" in dynamic.reason
    alone = _compress(fp32, tmp_path, frames, answers, FAST_STATIC, ("dynamic",))
    assert alone.kept == FP32
    assert alone.fp32_timing is not None and alone.fp32_timing.median_seconds == pytest.approx(0.003)


def test_compress__a_slow_round_of_the_original_leaves_it_open(fp32: Path, tmp_path: Path, frames: Frames) -> None:
    times = {"fp32": iter([0.003, 0.009] + [0.003] * 30), "copy": iter([0.006] * 40)}
    report = _compress(
        fp32, tmp_path, frames, lambda path: RIGHT,
        lambda path: next(times["copy" if "int8" in path.stem else "fp32"]), ("dynamic",),
    )  # fmt: skip
    (copy,) = report.candidates
    assert copy.mcc is not None and copy.timing is not None and len(copy.timing.seconds) == 12
    assert copy.reason.startswith("refused, it is not faster: ")


@pytest.mark.parametrize(("n_wrong", "kept"), [(0, "int8-static"), (2, "int8-static"), (3, FP32), (40, FP32)])
def test_compress__mcc_may_change_by_two_thousandths(
    fp32: Path, tmp_path: Path, frames: Frames, n_wrong: int, kept: str
) -> None:
    # one wrong row of 2,000 costs about 0.001 of MCC
    report = _compress(
        fp32, tmp_path, frames, lambda path: _wrong(RIGHT, n_wrong) if "int8" in path.stem else RIGHT, FAST_STATIC
    )
    assert report.kept == kept
    assert report.candidates[0].decisions_changed == n_wrong
    if kept == FP32:
        assert report.path == fp32
        assert f"more than {MAX_MCC_CHANGE:g}" in report.reason


def test_compress__a_better_copy_is_another_model_too(fp32: Path, tmp_path: Path, frames: Frames) -> None:
    report = _compress(
        fp32, tmp_path, frames, lambda path: RIGHT if "int8" in path.stem else _wrong(RIGHT, 50), FAST_STATIC
    )
    assert report.kept == FP32


@pytest.mark.parametrize("constant", [np.full(2000, 0.9), np.full(2000, 0.1)])
def test_compress__rows_that_show_nothing_accept_nothing(
    fp32: Path, tmp_path: Path, frames: Frames, constant: np.ndarray
) -> None:
    report = _compress(fp32, tmp_path, frames, lambda path: constant, FAST_STATIC, ("static",))
    assert report.kept == FP32
    assert "so that MCC shows no change" in report.reason


@pytest.mark.parametrize(
    ("answers", "reason"),
    [(RIGHT[:-1], "1999 answers for 2000 rows"), (np.full(2000, np.nan), "answers that are no numbers")],
)
def test_compress__unusable_answers(
    fp32: Path, tmp_path: Path, frames: Frames, answers: np.ndarray, reason: str
) -> None:
    report = _compress(fp32, tmp_path, frames, lambda path: answers if "int8" in path.stem else RIGHT, FAST_STATIC)
    assert report.kept == FP32
    assert reason in report.reason


def test_compress__a_copy_that_does_not_run_is_refused_with_the_reason(
    fp32: Path, tmp_path: Path, frames: Frames
) -> None:
    def answers(path: Path) -> np.ndarray:
        if "dynamic" in path.stem:
            raise RuntimeError("no kernel for ConvInteger\nand more")
        return RIGHT

    report = _compress(fp32, tmp_path, frames, answers, _pick(static=0.001, dynamic=0.002, fp32=0.003))
    assert report.kept == "int8-static"
    assert report.candidates[1].reason == "refused: RuntimeError: no kernel for ConvInteger"
    without_frames = _compress(fp32, tmp_path, [], lambda path: RIGHT, FAST_STATIC, methods=("static",))
    assert without_frames.kept == FP32
    assert "no calibration batch" in without_frames.reason
    assert without_frames.fp32_timing is None


def test_compress__real_inference(fp32: Path, tmp_path: Path, frames: Frames) -> None:
    probes = np.concatenate(frames)

    def infer(path: Path, images: np.ndarray) -> np.ndarray:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return np.asarray(session.run(None, {"images": images})[0])

    middle = float(np.median(infer(fp32, probes)[:, 0]))
    report = compress(
        fp32,
        tmp_path,
        frames,
        lambda path: 1 / (1 + np.exp(middle - infer(path, probes)[:, 0].astype(np.float64))),
        lambda path: lambda: infer(path, probes[:1]),
        (infer(fp32, probes)[:, 0] > middle).astype(int),
        rounds=5,
    )
    assert report.fp32_mcc == 1.0
    assert {c.method for c in report.candidates} == {"static", "dynamic"}
    assert all(c.timing and c.speed and (c.mcc is not None or not c.speed.faster) for c in report.candidates)
