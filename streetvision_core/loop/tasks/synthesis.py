"""Targeted synthetic frames: rendered to order for the failure modes the day was worst at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from streetvision_core.data.table import FeatureTable
from streetvision_core.images.decode import decode_image
from streetvision_core.learning.measured import split_of_group
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MinedDay
from streetvision_core.mining import synthesize as orders
from streetvision_core.mining.synthesize import SyntheticFrame, SyntheticPlan
from streetvision_core.types import Frame

SYNTHETIC_FILE: Final = "synthetic.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Synthetic:
    """What was rendered to order: N frames with their provenance, and their rows."""

    made: tuple[SyntheticFrame, ...]
    frames: tuple[Frame, ...]
    table: FeatureTable


def plan_synthesis(day: Day, mined: MinedDay, frames: int | None = None) -> SyntheticPlan:
    """Shares the day's frames, or so many, out among the failure modes of the mined errors."""
    errors = Counter(mode for modes, bad in zip(mined.modes, mined.wrong, strict=True) if bad for mode in modes)
    return orders.plan(errors, day.settings.loop.synthetic_per_day if frames is None else frames)


def synthesize(day: Day, plan: SyntheticPlan) -> Synthetic:
    """Renders the plan; images and provenance go to `synthetic/`, rows to `synthetic.npz`."""
    made = tuple(orders.render_plan(plan, day_index=day.number, seed=day.settings.seed))
    orders.write_frames(made, plan, day.folder / "synthetic")
    frames = tuple(decode_image(frame.jpeg_bytes, frame.id) for frame in made)
    features, evidence = day.observe(frames, "synthetic frames")
    table = FeatureTable.build(
        features,
        backbone=day.models.backbone.name,
        preprocessing=day.models.preprocessor.name,
        labels=[frame.label for frame in made],
        ids=[frame.id for frame in made],
        groups=[frame.group for frame in made],
        origins=[f"stream: {frame.origin}" for frame in made],
        eras=[frame.era for frame in made],
        levels=[frame.level for frame in made],
        evidence=evidence,
        splits=[split_of_group(frame.group) for frame in made],
    )
    table.save(day.folder / SYNTHETIC_FILE)
    return Synthetic(made, frames, table)
