"""The int8 question of the day, asked of each model on frames nobody trains on."""

from __future__ import annotations

from typing import Final

from streetvision_core.compression.backbone import compress_backbone, compress_head
from streetvision_core.compression.detectors import compress_yolo
from streetvision_core.compression.report import CompressionReport
from streetvision_core.data import scenes
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.training import challenger_head
from streetvision_core.mining import seeds
from streetvision_core.models.backbone import load_backbone
from streetvision_core.models.features import extract

ROUNDS: Final = 15
"""Timed rounds, A B A B; a difference worth having shows in fewer."""


def quantize_models(day: Day, frames: int) -> dict[str, CompressionReport]:
    """Tries int8 copies of backbone, head and YOLO; each stays in fp32 unless a copy is faster and decides the same.

    dense-lite2 is not among them: its network reads three maps of the backbone, which it needs in fp32.

    Args:
        day: the day; its challenger's head judges.
        frames: rendered frames to calibrate on, and as many others to compare on.
    """
    chosen = seeds.take(seeds.FREE, 2 * frames)
    made = [scenes.render(seed, roadwork=bool(i % 2)) for i, seed in enumerate(chosen)]
    calibrate, judge = ([scene.frame for scene in half] for half in (made[:frames], made[frames:]))
    y = [scene.label for scene in made[frames:]]
    head, threads, cache = challenger_head(day), day.settings.models.threads, day.workspace.data / "cache"
    backbone, preprocessor = load_backbone(head.backbone, threads), get_preprocessor(head.preprocessing)
    known, asked = (extract(half, backbone, preprocessor) for half in (calibrate, judge))
    return {
        "backbone": compress_backbone(head, calibrate, judge, y, cache, threads=threads, rounds=ROUNDS),
        "head": compress_head(head, known, asked, y, cache / "int8", rounds=ROUNDS),
        "yolo12n": compress_yolo(calibrate, judge, y, cache / "int8", threads=threads, rounds=ROUNDS),
    }
