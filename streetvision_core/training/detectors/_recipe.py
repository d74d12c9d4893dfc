"""What the shipped weights were made with: sizes of every step, and a quick form for trying the steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from streetvision_core.training.detectors._dense_train import DenseSettings
from streetvision_core.training.detectors._yolo_train import YoloSettings

FIRST_SEED: Final = {"rendered": 500_000, "composed": 600_000, "held-out": 900_000}
"""Seeds of made images; the held-out ones never train."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes of every step.

    Attributes:
        rendered: frames of the street world in the pool.
        composed: photos with a rendered work zone in the pool.
        crops: crops per source for the dense head.
        draws: how often a crop of a source is drawn for the dense head, beside the others'.
        dense: the dense head's training.
        shares: how often YOLO sees each source; they sum to 1.
        crop_pixels: side of YOLO's training crops.
        yolo: YOLO's training.
        yolo_input: width and height of YOLO's input when it answers, pixels.
        dense_input: least and greatest long side of the dense detector's input, pixels.
        held_out: rendered frames that both are measured on.
    """

    rendered: int = 460
    composed: int = 867
    crops: dict[str, int] = field(
        default_factory=lambda: {
            "composed": 3000,
            "rendered": 1200,
            "cones": 2000,
            "german_signs": 300,
            "negatives": 1200,
        }
    )
    draws: dict[str, float] = field(default_factory=lambda: {"cones": 0.5})
    dense: DenseSettings = field(default_factory=DenseSettings)
    shares: dict[str, float] = field(
        default_factory=lambda: {"composed": 0.45, "rendered": 0.25, "cones": 0.2, "negatives": 0.1}
    )
    crop_pixels: int = 128
    yolo: YoloSettings = field(default_factory=YoloSettings)
    yolo_input: tuple[int, int] = (640, 384)
    dense_input: tuple[int, int] = (640, 1344)
    held_out: int = 120

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


FULL: Final = Recipe()
"""What made the shipped weights."""

QUICK: Final = Recipe(
    rendered=12,
    composed=12,
    crops={"composed": 24, "rendered": 24, "cones": 24, "german_signs": 8, "negatives": 16},
    dense=DenseSettings(steps=12, batch=8),
    yolo=YoloSettings(steps=10, batch=4),
    crop_pixels=128,
    held_out=6,
)
"""The same steps in under two minutes; its weights are worth nothing."""
