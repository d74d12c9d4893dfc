"""The check of 4-bit copies, on scripted answers; and the whole way, where the quantising environment is at hand."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from typer.testing import CliRunner

from streetvision_core.cli._app import app
from streetvision_core.compression import check
from streetvision_core.compression.benchmark import interleave
from streetvision_core.compression.four_bit import check_four_bit, scheme_of
from streetvision_core.errors import ManifestError, ModelError
from streetvision_core.models.hub import record, verify_folder
from streetvision_core.models.vlm import YesNo
from streetvision_core.models.vlm.local import LocalVlm
from streetvision_core.models.vlm.residency import Residency
from streetvision_core.types import Frame
from tests import tiny_checkpoints

ROOT = Path(__file__).parents[3]
FOUR_BIT = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}}
RIGHT = [0.1, 0.9, 0.2, 0.8]
Y = [0, 1, 0, 1]
QUANTIZE = Path(os.environ.get("ENVS_DIR", ROOT / ".venvs")) / "quantize" / "bin" / "python"


class Scripted:
    """Gives set answers, by the frame's source, and takes set seconds on the clock given."""

    def __init__(self, answers: list[float | None], seconds: float, clock: list[float]) -> None:
        self.name, self._answers, self._seconds, self._clock = "scripted", answers, seconds, clock

    def answer(self, frames: list[Frame], question: str | None = None) -> YesNo:
        self._clock[0] += self._seconds
        return YesNo(self._answers[int(frames[0].source)], 1.0, "yes")


def checkpoint(folder: Path, quantization: dict | None = None) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "glm4v", "quantization_config": quantization}))
    save_file({"weight": np.zeros(4, np.float32)}, folder / "model.safetensors")
    return folder


def frames(n: int) -> list[Frame]:
    return [Frame.from_pixels(np.full((8, 8, 3), i, np.uint8), str(i)) for i in range(n)]


@pytest.mark.parametrize(
    ("original", "copy", "seconds", "within", "kept", "why"),
    [
        (RIGHT, [0.2, 0.7, 0.3, 0.9], 0.125, None, "w4a16", "accepted: 2.00 x the speed of original"),
        (RIGHT, [0.2, 0.4, 0.3, 0.9], 0.125, None, "original", "MCC changes by"),
        (RIGHT, RIGHT, 0.25, None, "original", "it is not faster"),
        (RIGHT, RIGHT, 0.375, None, "original", "it is clearly slower: 0.67 x the speed of original"),
        (RIGHT, RIGHT, 0.375, 0.4, "w4a16", "accepted: 0.67 x"),
        (RIGHT, RIGHT, 0.5, 0.4, "original", "it is clearly slower: 0.50 x the speed of original"),
        (RIGHT, RIGHT, 0.25, 0.2, "original", "95th percentile is 0.25 s, over 0.2 s"),
        (RIGHT, [0.1, None, 0.2, 0.8], 0.125, None, "original", "answers that are no numbers"),
        ([0.1, 0.9, 0.2, None], [0.1, 0.9, 0.2, None], 0.125, None, "w4a16", "0 of 3 decisions"),
        ([0.9] * 4, [0.9] * 4, 0.125, None, "original", "original decides them all alike"),
    ],
)
def test_check_four_bit__keeps_or_refuses(tmp_path, monkeypatch, original, copy, seconds, within, kept, why):
    source, small = checkpoint(tmp_path / "glm"), checkpoint(tmp_path / "glm-w4a16", FOUR_BIT)
    (small / "manifest.json").write_text("{}")  # of an earlier check: it must not outlive a refusal
    clock = [0.0]
    monkeypatch.setattr(check, "interleave", partial(interleave, clock=lambda: clock[0]))
    answers = {source: Scripted(original, 0.25, clock), small: Scripted(copy, seconds, clock)}
    report = check_four_bit(source, small, frames(4), Y, open_vlm=answers.__getitem__, rounds=8, within_seconds=within)
    assert report.kept == kept
    assert why in report.reason
    assert report.fp32_bytes == (source / "model.safetensors").stat().st_size
    if kept == "w4a16":
        assert verify_folder("glm-w4a16", small).files == 2
    else:
        with pytest.raises(ManifestError):
            verify_folder("glm-w4a16", small)


def test_check_four_bit__an_original_without_answers(tmp_path):
    source, small = checkpoint(tmp_path / "glm"), checkpoint(tmp_path / "glm-w4a16", FOUR_BIT)
    with pytest.raises(ModelError, match="no answer of glm to any of 2 frames"):
        check_four_bit(source, small, frames(2), [0, 1], open_vlm=lambda _: Scripted([None, None], 0, [0.0]))


@pytest.mark.parametrize(
    ("noted", "found"),
    [(FOUR_BIT, "w4a16"), ({"quant_method": "awq", "bits": 4}, "awq"), (None, None), ({"quant_method": "fp8"}, None)],
)
def test_scheme_of__reads_the_config(tmp_path, noted, found):
    folder = checkpoint(tmp_path / "glm", noted)
    if found:
        assert scheme_of(folder) == found
        return
    with pytest.raises(ModelError, match="a checkpoint in 4 bit"):
        scheme_of(folder)


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--within-ms", "1000"], 0)])
def test_check_copy__on_the_command_line(tmp_path, monkeypatch, arguments, code):
    """Both answer alike and take the same time on a steady clock, so the copy is not faster."""
    source, small = checkpoint(tmp_path / "glm"), checkpoint(tmp_path / "glm-w4a16", FOUR_BIT)
    record("glm", source)
    for label, value in (("none", 40), ("roadwork", 220)):
        (tmp_path / "frames" / label).mkdir(parents=True)
        Image.new("RGB", (64, 64), (value,) * 3).save(tmp_path / "frames" / label / "a.png")

    class Bright:
        def __init__(self, name: str, folder: Path, memory: Residency, **_: str) -> None:
            self.name = name

        def answer(self, frames: list[Frame]) -> YesNo:
            return YesNo(float(frames[0].pixels.mean() / 255), 1.0, "yes")

    monkeypatch.setattr("streetvision_core.models.vlm.local.LocalVlm", Bright)
    monkeypatch.setattr(check, "interleave", partial(interleave, clock=count(step=0.125).__next__))
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path))
    done = CliRunner().invoke(app, ["models", "check-copy", "glm", small.name, str(tmp_path / "frames"), *arguments])
    assert done.exit_code == code, done.output
    assert (small / "manifest.json").is_file() == (code == 0)


@pytest.mark.skipif(not QUANTIZE.is_file(), reason=f"no {QUANTIZE}: run envs/make.sh quantize")
def test_llm_compressor__its_copy_loads_and_answers_as_the_original(tmp_path):
    pytest.importorskip("compressed_tensors", reason="the extra gpu")
    source = tiny_checkpoints.glm(tmp_path / "glm", width=256)
    rng = np.random.default_rng(0)
    (tmp_path / "calibrate").mkdir()
    pictures = [rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(8)]
    for i, pixels in enumerate(pictures[:4]):
        Image.fromarray(pixels).save(tmp_path / "calibrate" / f"{i}.png")
    small = tmp_path / "glm-w4a16"
    subprocess.run(
        [QUANTIZE, "-m", "streetvision_core.compression.awq", source, small, "--images", tmp_path / "calibrate"],
        check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    assert scheme_of(small) == "w4a16"
    judge = [Frame.from_pixels(pixels, str(i)) for i, pixels in enumerate(pictures[4:])]
    wanted, got = (
        [answer.probability() for answer in LocalVlm(f.name, f, Residency(lambda: 10**12)).answer_each(judge)]
        for f in (source, small)
    )
    assert 0 < np.abs(np.subtract(wanted, got)).max() < 0.05
