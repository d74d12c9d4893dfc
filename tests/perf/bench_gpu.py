"""The big models on a GPU, full size, with random weights: speed does not depend on what the weights have learned.

Run: python tests/perf/bench_gpu.py [--device cuda] [--size full] [--rounds 50]; prints one JSON line last and writes
docs/benchmarks/gpu.json. It has not been run on a GPU by its authors: none was at hand. `--size tiny --device cpu` is
what the tests run, to show that every part works; its figures mean nothing and are not kept.

A part that cannot run here (a package is not installed, memory is short) says so in the result and the rest goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streetvision_core.models.vlm.local import LocalVlm, _Loaded, _one_token, _spellings
from streetvision_core.models.vlm.residency import Residency
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import Frame

RESULT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "gpu.json"
TARGETS_MS = {"classifier": 25, "detectors": 50, "vlm": 200, "ocr": 100}
"""The original plan's, per image."""
PUBLISHED = {
    "timm, compiled, RTX 4090": {"ViT-L/16 224": 1036, "DINOv3-L 256": 662, "DINOv3-S 256": 5530, "unit": "images/s"},
    "T4 TensorRT fp16 batch 1": {"RF-DETR-M": 4.4, "YOLO12x": 11.8, "unit": "ms"},
}
EXIT_MIX = {"classifier": 0.60, "detectors": 0.25, "vlm": 0.10, "ocr": 0.05}
"""Where a frame ends, in the original plan."""
DINOV3 = {
    "full": {s: f"vit_{s}_patch16_dinov3" for s in ("small", "base", "large")},
    "tiny": {"tiny": "vit_tiny_patch16_224"},
}
BATCHES = {"full": (1, 64), "tiny": (1, 2)}
Call = Callable[[], object]


class Bench:
    """One run on one device."""

    def __init__(self, device: str, size: str, rounds: int) -> None:
        self.device, self.size, self.rounds = device, size, rounds
        self.cuda = device.startswith("cuda")

    def time(self, call: Call, images: int) -> dict[str, Any]:
        """Milliseconds p50 and p99 of a call, images per second, and the most memory it took."""
        for _ in range(3):
            call()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        seconds = [self._once(call) for _ in range(self.rounds)]
        p50, p99 = (float(np.percentile(seconds, q)) for q in (50, 99))
        peak = round(torch.cuda.max_memory_allocated() / 2**30, 3) if self.cuda else None
        return {
            "p50_ms": round(1e3 * p50, 3), "p99_ms": round(1e3 * p99, 3), "images_per_second": round(images / p50, 1),
            "peak_gib": peak,
        }  # fmt: skip

    def _once(self, call: Call) -> float:
        self._wait()
        started = time.perf_counter()
        call()
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def forward(self, module: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Call:
        """A forward pass of a module on noise."""
        module = module.to(self.device, dtype).eval()
        x = torch.rand(shape, device=self.device, dtype=dtype)

        def call() -> object:
            with torch.inference_mode():
                return module(x)

        return call

    def dinov3(self) -> dict[str, Any]:
        """Stage 1's backbones: batch, precision, eager and compiled."""
        import timm

        found: dict[str, Any] = {}
        for label, name in DINOV3[self.size].items():
            for dtype in (torch.float32, torch.float16, torch.bfloat16) if self.size == "full" else (torch.float32,):
                for batch in BATCHES[self.size]:
                    module = timm.create_model(name, pretrained=False, num_classes=0, global_pool="token")
                    side = module.default_cfg["input_size"][-1]
                    call = self.forward(module, (batch, 3, side, side), dtype)
                    key = f"{label} {side} batch {batch} {str(dtype).removeprefix('torch.')}"
                    found[f"{key} eager"] = self.time(call, batch)
                    if self.size == "full":
                        fast = self.forward(torch.compile(module), (batch, 3, side, side), dtype)
                        found[f"{key} compiled"] = self.time(fast, batch)
        return found

    def rfdetr(self) -> dict[str, Any]:
        """RF-DETR-M at 576 pixels, fp16."""
        from rfdetr import RFDETRMedium

        if self.size != "full":
            return {"skipped": "no tiny RF-DETR"}
        module = RFDETRMedium(pretrain_weights=None).model.model
        return {"medium 576 float16": self.time(self.forward(module, (1, 3, 576, 576), torch.float16), 1)}

    def yolo(self) -> dict[str, Any]:
        """YOLO12x at 640 pixels, fp16."""
        from ultralytics.nn.tasks import DetectionModel

        name, side = ("yolo12x.yaml", 640) if self.size == "full" else ("yolo12n.yaml", 64)
        dtype = torch.float16 if self.cuda else torch.float32
        module = DetectionModel(name, verbose=False)
        return {f"{name} {side}": self.time(self.forward(module, (1, 3, side, side), dtype), 1)}

    def vlm(self) -> dict[str, Any]:
        """GLM-4.6V-Flash: yes or no from the first token, one image and eight."""
        model = self.glm()
        side = 1024 if self.size == "full" else 112
        rng = np.random.default_rng(0)
        frames = [
            Frame.from_pixels(rng.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8), f"noise:{i}")
            for i in range(8)
        ]
        self._vlm_call = lambda: model.answer_each(frames[:1])
        return {
            "1 image": self.time(self._vlm_call, 1),
            "8 images": self.time(lambda: model.answer_each(frames), 8),
        }

    def glm(self) -> LocalVlm:
        """The adapter around random weights that were never on a disk."""
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        from transformers import AutoProcessor, Glm4vConfig, Glm4vForConditionalGeneration

        from tests import tiny_checkpoints

        dtype = torch.bfloat16 if self.cuda else torch.float32
        with tempfile.TemporaryDirectory() as scratch:
            folder = tiny_checkpoints.glm(Path(scratch), taught=False)
            processor = AutoProcessor.from_pretrained(folder)
            config = Glm4vConfig.from_pretrained(folder)
            vlm = LocalVlm("glm", folder, Residency(lambda: 2**62), device=self.device, max_side_pixels=1024)
        if self.size == "full":  # the published shape, with the place of the image token where our tokenizer has it
            tokens = {k: v for k, v in config.to_dict().items() if k.endswith("_token_id")}
            config = Glm4vConfig(**tokens)
            processor.image_processor.size = {"shortest_edge": 112 * 112, "longest_edge": 28 * 28 * 15000}
        torch.set_default_dtype(dtype)
        with torch.device(self.device):
            model = Glm4vForConditionalGeneration(config).eval()
        torch.set_default_dtype(torch.float32)
        words = processor.tokenizer
        words.padding_side = "left"
        spelled = {i: text for text in _spellings() if (i := _one_token(words, text)) is not None}
        vlm._load = lambda: _Loaded(model, processor, spelled, {"enable_thinking": False})  # type: ignore[method-assign]
        return vlm

    def cascade(self, calls: dict[str, Call]) -> dict[str, Any]:
        """Requests one after another that end where the plan's mix ends them; all earlier stages run."""
        rng, order = np.random.default_rng(0), list(EXIT_MIX)
        ends = rng.choice(len(order), size=max(20, 4 * self.rounds), p=list(EXIT_MIX.values()))
        missing = [stage for stage in order if stage not in calls]

        def request(end: int) -> None:
            for stage in order[: end + 1]:
                if stage in calls:
                    calls[stage]()

        seconds = [self._once(lambda end=end: request(int(end))) for end in ends]
        p50, p99 = (1e3 * float(np.percentile(seconds, q)) for q in (50, 99))
        return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "requests": len(ends), "stages_missing": missing}

    def run(self) -> dict[str, Any]:
        """Every part, each on its own."""
        parts = {"dinov3": self.dinov3, "rfdetr": self.rfdetr, "yolo": self.yolo, "vlm": self.vlm}
        found = {name: self._part(part) for name, part in parts.items()}
        found["cascade"] = self._part(lambda: self.cascade(self.calls()))
        return found

    def calls(self) -> dict[str, Call]:
        """One call per stage for the end-to-end figure: the large backbone, YOLO, the image-text model."""
        import timm

        name = list(DINOV3[self.size].values())[-1]
        module = timm.create_model(name, pretrained=False, num_classes=0, global_pool="token")
        side = module.default_cfg["input_size"][-1]
        dtype = torch.bfloat16 if self.cuda else torch.float32
        made: dict[str, Call] = {"classifier": self.forward(module, (1, 3, side, side), dtype)}
        try:
            from ultralytics.nn.tasks import DetectionModel

            yolo, side = ("yolo12x.yaml", 640) if self.size == "full" else ("yolo12n.yaml", 64)
            half = torch.float16 if self.cuda else torch.float32
            made["detectors"] = self.forward(DetectionModel(yolo, verbose=False), (1, 3, side, side), half)
        except ImportError:
            pass
        if hasattr(self, "_vlm_call"):
            made["vlm"] = self._vlm_call
        return made

    @staticmethod
    def _part(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        try:
            return part()
        except Exception as error:  # one part that cannot run must not cost the others
            return {"skipped": f"{type(error).__name__}: {str(error).strip().splitlines()[:1]}"}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Runs and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--rounds", type=int, default=50)
    given = parser.parse_args(arguments)
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else platform.processor() or "cpu"
    made = {
        "benchmark": "gpu", "machine": name, "size": given.size, "rounds": given.rounds, "torch": torch.__version__,
        "targets_ms": TARGETS_MS, "published": PUBLISHED, "exit_mix": EXIT_MIX,
        **Bench(given.device, given.size, given.rounds).run(),
    }  # fmt: skip
    if given.size == "full":
        atomic_write_json(RESULT, made)
    sys.stdout.write(json.dumps(made) + "\n")
    return made


if __name__ == "__main__":
    main()
