"""What the original plan said a model takes, next to what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from streetvision_core.compression.memory.shapes import shape
from streetvision_core.errors import ModelError

PLAN_GB: Final = {
    "timm/vit_large_patch16_dinov3.lvd1689m": (6.0, 3.0),
    "rfdetr-medium": (3.8, 1.9),
    "yolo12x": (6.2, 3.1),
    "zai-org/GLM-4.6V-Flash": (9.0, 2.3),
    "allenai/Molmo2-8B": (4.5, 1.2),
    "florence-community/Florence-2-large": (1.5, 1.5),
}
"""Raw and compressed, in GB, from the plan's table of models."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One model: the plan's figures and the counted ones, all in GB (1e9 bytes) of weights.

    Attributes:
        model: its id.
        plan_raw_gb: the plan, uncompressed.
        plan_served_gb: the plan, compressed.
        counted_raw_gb: in 16 bit.
        counted_served_gb: as the profiles serve it: image-text models in 4 bit, others in 16 bit.
    """

    model: str
    plan_raw_gb: float
    plan_served_gb: float
    counted_raw_gb: float
    counted_served_gb: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        plan = {"model": self.model, "plan_raw_gb": self.plan_raw_gb, "plan_served_gb": self.plan_served_gb}
        counted = {"counted_raw_gb": self.counted_raw_gb, "counted_served_gb": self.counted_served_gb}
        return {**plan, **{name: round(value, 2) for name, value in counted.items()}}


def claims() -> tuple[Claim, ...]:
    """The table of plan against count.

    Raises:
        ModelError: a model of the table has no known shape.
    """
    return tuple(_claim(model, raw, served) for model, (raw, served) in PLAN_GB.items())


def _claim(model: str, raw: float, served: float) -> Claim:
    known = shape(model)
    if known is None:
        raise ModelError(f"{model} without a shape", "a model of shapes.yaml", "add its shape", model=model)
    return Claim(model, raw, served, known.weight_bytes("bf16") / 1e9, known.weight_bytes("w4") / 1e9)
