"""Whether a 4-bit (or 16-bit) copy of an image-text model may serve in place of the checkpoint it was made from.

Example:
    >>> report = check_four_bit(models / "GLM-4.6V-Flash", models / "GLM-4.6V-Flash-w4a16", frames, y)  # doctest: +SKIP
    >>> report.kept                                                                                     # doctest: +SKIP
    'w4a16'
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.compression.check import Probabilities, check_copies, stored_bytes
from streetvision_core.compression.int8 import Quantized
from streetvision_core.compression.report import CompressionReport
from streetvision_core.errors import ModelError
from streetvision_core.models import hub
from streetvision_core.models.hub.store import MANIFEST
from streetvision_core.models.vlm import Vlm
from streetvision_core.models.vlm.local import LocalVlm
from streetvision_core.models.vlm.residency import Residency
from streetvision_core.storage import file_sha256
from streetvision_core.types import Frame

ORIGINAL: Final = "original"
_HALVES: Final = {"bfloat16": "bf16", "float16": "fp16"}
Open = Callable[[Path], Vlm]


def check_four_bit(
    source: Path,
    copy: Path,
    judge: Sequence[Frame],
    y: npt.ArrayLike,
    *,
    open_vlm: Open | None = None,
    rounds: int = 10,
    within_seconds: float | None = None,
) -> CompressionReport:
    """Asks both about the same frames, times one question of each in turn, and records the copy if it may serve.

    A profile loads a folder only with a manifest, and this is what writes the copy's: an earlier one is removed first,
    so that a refused copy cannot be served. Both models are held at once.

    Args:
        source: folder of the checkpoint in 16 or 32 bit.
        copy: folder of the copy, e.g. made by `compression.awq`; smaller than the source.
        judge: frames to compare decisions on, none of them calibrated on; those without an answer of the source are
            left out.
        y: labels of `judge`.
        open_vlm: opens a folder in the way, and at the precision, it will be served; None: in this process, on the CPU.
        rounds: timed rounds, A B A B.
        within_seconds: see `check_copies`: a copy made to fit a card need not be faster.

    Raises:
        ModelError: the copy is not stored in 4 or 16 bit or is not smaller, or the source does not load or answers
            nothing.
    """
    method = scheme_of(copy)
    small, large = stored_bytes(copy), stored_bytes(source)
    if small >= large:
        raise ModelError(
            got=f"{copy.name} with {small:,} bytes of weights, {source.name} with {large:,}",
            allowed="a copy with fewer",
            action="name the original first, then its copy",
        )
    (copy / MANIFEST).unlink(missing_ok=True)
    opened = cache(open_vlm or _in_process)
    said = _p_yes(opened(source), judge)
    rows = np.flatnonzero(np.isfinite(said))
    if not rows.size:
        raise ModelError(
            got=f"no answer of {source.name} to any of {len(judge)} frames",
            allowed="an original that answers yes or no",
            action="check that it is an instruction-tuned checkpoint with its own chat template",
        )
    frames = [judge[int(i)] for i in rows]

    def predict(path: Path) -> Probabilities:
        return said[rows] if path == source else _p_yes(opened(path), frames)

    def make_run(path: Path) -> Callable[[], object]:
        return lambda: opened(path).answer(frames[:1])

    report = check_copies(
        source, {method: lambda: _as_it_is(copy, method)}, predict, make_run, np.asarray(y)[rows],
        rounds=rounds, original=ORIGINAL, within_seconds=within_seconds,
    )  # fmt: skip
    if report.path == copy:
        hub.record(copy.name, copy)
    return report


def scheme_of(folder: Path) -> str:
    """How a copy's layers are stored: `w4a16` (compressed-tensors), `awq` (AutoAWQ), or plain `bf16` or `fp16`.

    Raises:
        ModelError: no readable config, or stored otherwise.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        noted = config.get("quantization_config") or {}
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder} without a readable config.json", "a checkpoint's folder", "name one") from error
    groups = noted.get("config_groups") or {}
    if any((group.get("weights") or {}).get("num_bits") == 4 for group in groups.values()):
        return "w4a16"
    if noted.get("quant_method") == "awq" and noted.get("bits") == 4:
        return "awq"
    if not noted and (plain := _HALVES.get(str(config.get("dtype") or config.get("torch_dtype")))):
        return plain
    raise ModelError(
        got=f"{folder.name}, stored as {noted.get('quant_method') or 'plain weights'}",
        allowed="a checkpoint in 4 bit, of compressed-tensors or AutoAWQ, or in 16 bit",
        action="make one: python -m streetvision_core.compression.awq MODEL OUT --images FOLDER",
    )


def _in_process(folder: Path) -> Vlm:
    return LocalVlm(folder.name, folder, Residency(lambda: sys.maxsize))


def _p_yes(vlm: Vlm, frames: Sequence[Frame]) -> Probabilities:
    """P(yes) of each frame; not a number where it was not answered."""
    answers = [vlm.answer([frame]).p_yes for frame in frames]
    return np.array([np.nan if p is None else p for p in answers])


def _as_it_is(folder: Path, method: str) -> Quantized:
    """A copy that was made before, elsewhere: its making took no time here."""
    digests = [file_sha256(file) for file in sorted(folder.glob("*.safetensors"))]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return Quantized(folder, method, stored_bytes(folder), whole, 0.0)
