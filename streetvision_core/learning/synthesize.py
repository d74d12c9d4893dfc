"""Targeted synthetic frames: rendered to order for the failure modes that were answered worst."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streetvision_core.data.observe import Observer
from streetvision_core.data.table import FeatureTable
from streetvision_core.images.decode import decode_image
from streetvision_core.learning.measured import split_of_group
from streetvision_core.learning.mine import Mined
from streetvision_core.mining import synthesize as orders
from streetvision_core.mining.synthesize import SyntheticFrame, SyntheticPlan
from streetvision_core.types import Frame

SYNTHETIC_FILE: Final = "synthetic.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Synthetic:
    """What was rendered to order: N frames with their provenance, and their rows."""

    plan: SyntheticPlan
    made: tuple[SyntheticFrame, ...]
    frames: tuple[Frame, ...]
    table: FeatureTable


def plan_synthesis(mined: Mined, frames: int) -> SyntheticPlan:
    """Shares so many frames out among the failure modes of the mined errors."""
    errors = Counter(mode for modes, bad in zip(mined.modes, mined.wrong, strict=True) if bad for mode in modes)
    return orders.plan(errors, frames)


def synthesize(plan: SyntheticPlan, observer: Observer, day_index: int, seed: int) -> Synthetic:
    """Renders the plan and observes its frames.

    Args:
        plan: from `plan_synthesis`.
        observer: whose features and evidence.
        day_index: days since the project's first; no two nights render the same scenes.
        seed: the workspace's.
    """
    made = tuple(orders.render_plan(plan, day_index=day_index, seed=seed))
    frames = tuple(decode_image(frame.jpeg_bytes, frame.id) for frame in made)
    features, evidence = observer.observe(frames, "synthetic frames")
    table = FeatureTable.build(
        features,
        backbone=observer.models.backbone.name,
        preprocessing=observer.models.preprocessor.name,
        labels=[frame.label for frame in made],
        ids=[frame.id for frame in made],
        groups=[frame.group for frame in made],
        origins=[f"stream: {frame.origin}" for frame in made],
        eras=[frame.era for frame in made],
        levels=[frame.level for frame in made],
        evidence=evidence,
        splits=[split_of_group(frame.group) for frame in made],
    )
    return Synthetic(plan, made, frames, table)


def save_synthetic(synthetic: Synthetic, night: Path) -> None:
    """Keeps images and provenance in `synthetic/`, rows in `synthetic.npz`."""
    orders.write_frames(synthetic.made, synthetic.plan, night / "synthetic")
    synthetic.table.save(night / SYNTHETIC_FILE)
