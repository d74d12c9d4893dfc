"""What models really take in main memory on this machine, next to what is computed for them.

Each is loaded in a process of its own, so that nothing of the one before is counted. Only the process's own (anonymous)
memory counts: how many pages of a library's file are mapped depends on what the page cache holds, and differed by 90 MB
between two runs. A GPU's figures stay computed.

Example:
    >>> measure("yolo12n").computed_weights_mb                                       # doctest: +SKIP
    10.8
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.compression.memory.shapes import shape
from streetvision_core.errors import ModelError
from streetvision_core.models.adapters import load_adapter
from streetvision_core.models.detectors._weights import WEIGHTS_FOLDER
from streetvision_core.settings import Settings, load_settings
from streetvision_core.types import Frame

EMBEDDED: Final = ("efficientnet-lite2", "dense-lite2", "yolo12n")
RANDOM: Final = ("timm/vit_small_patch16_dinov3.lvd1689m", "timm/vit_base_patch16_dinov3.lvd1689m")
"""Full-size networks that a small machine holds; their weights are random, which takes the same memory."""
MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on the CPU in fp32, in MB (1e6 bytes).

    Attributes:
        model: its id.
        computed_weights_mb: bytes of its ONNX files (`dense-lite2`: the backbone's, too), or parameters times four.
        computed_mb: with the activations of one image; None where its shape is not known.
        loaded_mb: growth of the process's own memory by loading it, after the libraries were loaded.
        peak_mb: growth of its peak by loading it and answering one image.
    """

    model: str
    computed_weights_mb: float
    computed_mb: float | None
    loaded_mb: float
    peak_mb: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def measurable() -> tuple[str, ...]:
    """The models that can be measured here: the embedded ones, and with timm two backbones of full size."""
    return EMBEDDED + (RANDOM if find_spec("timm") else ())


def measure(model: str) -> Measured:
    """Loads a model in a child process and measures it.

    Args:
        model: one of `measurable()`.

    Raises:
        ModelError: another model, or the child failed.
    """
    if model not in measurable():
        raise ModelError(f"model {model!r}", ", ".join(measurable()), "name one of them; others are computed only")
    command = [sys.executable, "-m", "streetvision_core.compression.memory.measured", model]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(
            got=f"measuring {model} ended with code {done.returncode}: {done.stderr.strip()[-300:]}",
            allowed="a model that loads here",
            action="run the command by hand: python -m streetvision_core.compression.memory.measured " + model,
        )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def _child(model: str) -> Measured:
    settings = load_settings("embedded")
    prepare = _random if model in RANDOM else _embedded
    load = prepare(model, settings)
    before = _own_bytes()
    weights, answer = load()
    loaded = _own_bytes()
    answer()
    peak = max(loaded, _own_bytes(), _own_peak_bytes())
    known = shape(model)
    total = None if known is None else (known.weight_bytes("fp32") + known.activation_bytes(1, 4)) / MB
    return Measured(
        model,
        round(weights / MB, 1),
        None if total is None else round(total, 1),
        round((loaded - before) / MB, 1),
        round((peak - before) / MB, 1),
    )


def _embedded(model: str, settings: Settings) -> Callable[[], tuple[int, Callable[[], object]]]:
    import onnxruntime  # noqa: F401  the library's own memory is not the model's

    from streetvision_core.models.backbone import cached_lite2

    is_backbone = model == "efficientnet-lite2"
    lite2 = cached_lite2(settings.paths.resolve("data") / "cache")
    own = WEIGHTS_FOLDER / f"{model}.onnx"
    files = {"efficientnet-lite2": [lite2], "dense-lite2": [lite2, own]}.get(model, [own])
    frame = Frame.from_pixels(np.zeros((480, 640, 3), np.uint8), "measured")

    def load() -> tuple[int, Callable[[], object]]:
        made = load_adapter("backbone" if is_backbone else "detector", model, settings)
        view = np.zeros((1, 260, 260, 3), np.uint8)
        return sum(file.stat().st_size for file in files), (lambda: made.embed(view)) if is_backbone else (
            lambda: made.detect([frame])
        )

    return load


def _random(model: str, settings: Settings) -> Callable[[], tuple[int, Callable[[], object]]]:
    import timm
    import torch

    torch.set_num_threads(1)
    torch.zeros(8, 8) @ torch.zeros(8, 8)

    def load() -> tuple[int, Callable[[], object]]:
        name = model.split("/")[1].split(".")[0]
        network: Any = timm.create_model(name, pretrained=False, num_classes=0).eval()
        weights = sum(p.numel() * p.element_size() for p in network.parameters())

        def answer() -> object:
            with torch.inference_mode():
                return network.forward_features(torch.zeros(1, 3, 224, 224))

        return weights, answer

    return load


def _own_bytes() -> int:
    """Anonymous memory, swapped out or not: no file's pages."""
    status = _status()
    return status["RssAnon"] + status["VmSwap"]


def _own_peak_bytes() -> int:
    """Of this program: `ru_maxrss` would count what the process was before it became this program.

    The kernel keeps the peak of all resident pages; those of files, which hardly ever leave, are taken off.
    """
    status = _status()
    return status["VmHWM"] - status["RssFile"] - status["RssShmem"]


def _status() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_child(sys.argv[1]).to_dict()) + "\n")
