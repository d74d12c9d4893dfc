"""The check of 4-bit copies, on scripted answers; and the whole way, where the quantising environment is at hand."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as torch_save
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
    save_file({"weight": np.zeros(2 if quantization else 4, np.float32)}, folder / "model.safetensors")
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


def answers_of(folder, pictures):
    """log P(yes) / P(no) of each picture."""
    vlm = LocalVlm(folder.name, folder, Residency(lambda: 10**12))
    judged = vlm.answer_each([Frame.from_pixels(pixels, str(i)) for i, pixels in enumerate(pictures)])
    return np.array([np.log(a.p_yes / (1 - a.p_yes)) for a in judged])


def lean(folder, pictures):
    """Makes a tiny GLM say yes to half of the pictures and no to the others."""
    weights, (no,) = load_file(folder / "model.safetensors"), word_rows(folder, "no")
    weights["lm_head.weight"][no] *= 1 + np.median(answers_of(folder, pictures)) / 12  # of the 12 that the row gives
    save_weights(weights, folder)


def word_rows(folder, *words):
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return [vocabulary[word] for word in words]


def save_weights(weights, folder, **config):
    torch_save(weights, folder / "model.safetensors", metadata={"format": "pt"})
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**written, **config}))


def pair_of(root, width):
    """A random GLM-4V in 32 bit, and a folder of frames sorted by what it says of them; their pictures, and others."""
    source = tiny_checkpoints.glm(root / "glm", width=width)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, 256, (6, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(24)]
    order = np.argsort(answers_of(source, drawn))
    pictures = [drawn[i] for i in (*order[:4], *order[-4:])]  # what lies between turns with the rounding
    lean(source, pictures)
    for label in ("roadwork", "none"):
        (root / "frames" / label).mkdir(parents=True)
    for i, (pixels, odds) in enumerate(zip(pictures, answers_of(source, pictures), strict=True)):
        Image.fromarray(pixels).save(root / "frames" / ("roadwork" if odds > 0 else "none") / f"{i}.png")
    record("glm", source)
    return pictures, [drawn[i] for i in order[4:-4]]


@pytest.fixture(scope="module")
def saved_pair(tmp_path_factory):
    """The folder of a GLM of width 64 and its frames."""
    root = tmp_path_factory.mktemp("pair")
    pair_of(root, 64)
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "words", "code", "why"),
    [
        ((), ("--within-ms", "60000"), 0, "bf16 may be served: accepted"),
        ((("yes", "no"), ("Yes", "No")), ("--within-ms", "60000"), 1, "MCC changes by 2.0000"),
        (None, (), 1, "bf16 refused: "),
    ],
)
def test_check_copy__of_two_saved_checkpoints(saved_pair, tmp_path, monkeypatch, damage, words, code, why):
    """Real checkpoints, loaded by the real loader: one rounded to 16 bit, one that says no for yes, one cut short."""
    (tmp_path / "glm").symlink_to(saved_pair / "glm")
    small = shutil.copytree(saved_pair / "glm", tmp_path / "glm-bf16")
    weights = {name: a.to(torch.bfloat16) for name, a in load_file(small / "model.safetensors").items()}
    for pair in damage or ():
        a, b = word_rows(small, *pair)
        weights["lm_head.weight"][[a, b]] = weights["lm_head.weight"][[b, a]].clone()
    save_weights(weights, small, dtype="bfloat16")
    if damage is None:
        file = small / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path))
    monkeypatch.setenv("SV_MODELS__DEVICE", "cpu")
    command = ["models", "check-copy", "glm", small.name, str(saved_pair / "frames"), "--rounds", "2", "--json", *words]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == code, done.output
    assert why in " ".join(done.output.split())
    assert (small / "manifest.json").is_file() == (code == 0)
    if code == 0:
        assert verify_folder(small.name, small).bytes < 0.6 * verify_folder("glm", saved_pair / "glm").bytes


def test_check_four_bit__a_copy_that_is_no_smaller_is_refused_before_anything_is_loaded(tmp_path):
    source, small = checkpoint(tmp_path / "glm"), checkpoint(tmp_path / "glm-w4a16", FOUR_BIT)
    with pytest.raises(ModelError, match="name the original first"):
        check_four_bit(small, shutil.copytree(small, tmp_path / "other"), frames(2), [0, 1])
    with pytest.raises(ModelError, match="in 4 bit"):
        check_four_bit(small, source, frames(2), [0, 1])


@pytest.mark.skipif(not QUANTIZE.is_file(), reason=f"no {QUANTIZE}: run envs/make.sh quantize")
def test_llm_compressor__its_copy_answers_as_the_original_and_the_command_says_so(tmp_path, monkeypatch):
    pytest.importorskip("compressed_tensors", reason="the extra gpu")
    pictures, others = pair_of(tmp_path, 256)
    (tmp_path / "calibrate").mkdir()
    for i, pixels in enumerate(others[:4]):
        Image.fromarray(pixels).save(tmp_path / "calibrate" / f"{i}.png")
    source, small = tmp_path / "glm", tmp_path / "glm-w4a16"
    subprocess.run(
        [QUANTIZE, "-m", "streetvision_core.compression.awq", source, small, "--images", tmp_path / "calibrate"],
        check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
    )  # fmt: skip
    assert scheme_of(small) == "w4a16"
    wanted, got = (1 / (1 + np.exp(-answers_of(folder, pictures))) for folder in (source, small))
    assert 0 < np.abs(wanted - got).max() < 0.05
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path))
    monkeypatch.setenv("SV_MODELS__DEVICE", "cpu")
    command = ["models", "check-copy", "glm", small.name, str(tmp_path / "frames"), "--within-ms", "60000"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "w4a16 may be served: accepted" in " ".join(done.output.split())
    assert verify_folder(small.name, small).files
