"""The int8 question of the day, asked on frames nobody trains on."""

from __future__ import annotations

from typing import Final

from streetvision_core.compression.backbone import compress_backbone
from streetvision_core.compression.check import CompressionReport
from streetvision_core.data import scenes
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.training import challenger_head
from streetvision_core.mining import seeds

ROUNDS: Final = 15
"""Timed rounds, A B A B; a difference worth having shows in fewer."""


def quantize_backbone(day: Day, frames: int) -> CompressionReport:
    """Tries int8 copies of the backbone and keeps fp32 unless one is faster and decides the same.

    Args:
        day: the day; its challenger's head judges.
        frames: rendered frames to calibrate on, and as many others to compare on.
    """
    chosen = seeds.take(seeds.FREE, 2 * frames)
    made = [scenes.render(seed, roadwork=bool(i % 2)) for i, seed in enumerate(chosen)]
    return compress_backbone(
        challenger_head(day),
        [scene.frame for scene in made[:frames]],
        [scene.frame for scene in made[frames:]],
        [scene.label for scene in made[frames:]],
        day.workspace.data / "cache",
        threads=day.settings.models.threads,
        rounds=ROUNDS,
    )
