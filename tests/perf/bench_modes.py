"""Precision and recall of the failure-mode rules against the rendered world's exact tags.

Run: python tests/perf/bench_modes.py [scenes]; prints one JSON line last and writes docs/benchmarks/modes.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streetvision_core.data import scenes
from streetvision_core.errors import DataError
from streetvision_core.images.challenge import sample
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.mining.modes import IMAGE_RULES, NOT_TOLD, RELIABLE_IMAGE_RULES, TOLD, measure, tag
from streetvision_core.mining.seeds import FREE
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import ERAS, Era, FailureMode

RESULT = Path(__file__).parents[2] / "docs" / "benchmarks" / "modes.json"
SEEDS = FREE[100_000:]
"""Far from the seeds the thresholds were chosen on."""
ASKED: tuple[tuple[FailureMode, ...] | None, ...] = (
    *(None,) * 6,
    *(("fog",), ("glare",), ("night",), ("far",), ("small",), ("occlusion",)),
)
FLAT = 0.15
"""|log| of width over height against the class's median, mean over boxes: from here on a frame would be `occluded`."""


def main(n: int) -> None:
    frames = list(render(n))
    result: dict[str, Any] = {"benchmark": "modes", "scenes": len(frames), "not_told": dict(NOT_TOLD)}
    result["note"] = "far and small are judged with the world's exact boxes, for which small is right by definition"
    for era in ERAS:
        result[era] = judge_era(frames, era)
    result["occlusion_tried"] = try_occlusion(frames)
    atomic_write_json(RESULT, result)
    sys.stdout.write(json.dumps(result) + "\n")


def render(n: int) -> Any:
    """Half of the frames as they come, half with a mode asked for, so that each occurs often enough to be judged."""
    for number, seed in enumerate(SEEDS[:n]):
        asked = ASKED[number % len(ASKED)]
        try:
            yield scenes.render(seed, roadwork=True if number % len(ASKED) > 8 else None, modes=asked)
        except DataError:
            continue


def try_occlusion(frames: Sequence[Any]) -> dict[str, Any]:
    """What is covered has an odd shape: judged with the world's exact boxes, better than any detector's."""
    seen = [frame for frame in frames if frame.boxes]
    shapes = [(box.label, np.log((box.x1 - box.x0) / (box.y1 - box.y0))) for f in seen for box in f.boxes]
    usual = {label: float(np.median([s for name, s in shapes if name == label])) for label, _ in shapes}
    odd = [float(np.mean([abs(np.log((b.x1 - b.x0) / (b.y1 - b.y0)) - usual[b.label]) for b in f.boxes])) for f in seen]
    rule = f"boxes' width over height is off the class's median by more than {FLAT:g} (log), on average; road work only"
    truth = ["occlusion" in f.modes for f in seen]
    return {"rule": rule, "frames": len(seen), **judge(truth, [o > FLAT for o in odd])}


def judge_era(frames: Sequence[Any], era: Era) -> dict[str, Any]:
    """Boxes are judged on the native image only: no era tells where a box went."""
    rng = np.random.default_rng(0)
    found = []
    for frame in frames:
        pixels = decode_image(encode_jpeg(sample(frame.frame.pixels, era, rng)[0]), frame.group).pixels
        statistics = measure(pixels)
        told = {mode for mode, rule in IMAGE_RULES.items() if rule(statistics)}
        found.append(told | (tag(pixels, frame.boxes) if era == "native" else set()))
    modes = TOLD if era == "native" else tuple(IMAGE_RULES)
    judged = {m: judge([m in f.modes for f in frames], [m in t for t in found]) for m in modes}
    return {m: {**numbers, "used": era == "native" or m in RELIABLE_IMAGE_RULES[era]} for m, numbers in judged.items()}


def judge(truth: Sequence[bool], found: Sequence[bool]) -> dict[str, Any]:
    hits = sum(t and f for t, f in zip(truth, found, strict=True))
    precision, recall = hits / max(sum(found), 1), hits / max(sum(truth), 1)
    return {"precision": round(precision, 3), "recall": round(recall, 3), "true": sum(truth), "told": sum(found)}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
