"""Shapes of the big models, and the bytes that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

from streetvision_core.models.hub.catalogue import entry

BITS_PER_WEIGHT: Final = {"fp32": 32.0, "fp16": 16.0, "bf16": 16.0, "w4": 4.0 + (16.0 + 4.0) / 128.0}
"""`w4`: 4-bit weights in groups of 128, each with a 16-bit scale and a 4-bit zero point."""
_LIVE_HIDDEN: Final = 4
"""Hidden-size tensors alive at once in a transformer block: input, residual, and two of query, key, value, output."""
_LIVE_INTERMEDIATE: Final = 3
"""Gate, up, and their product, at the MLP's width."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's memory follows from.

    Attributes:
        id: in the catalogue of models.
        params: number of parameters.
        layers: transformer blocks of the part that generates, or of the encoder.
        hidden: their width.
        intermediate: width of their MLPs.
        tokens: of one image, view or clip as the profiles use it.
        linear_params: parameters that 4-bit weights replace; 0 where that is not done.
        kv_heads: heads whose keys and values are cached; 0 where nothing is generated.
        head_dim: of one head.
        vocabulary: logits of one place; 0 where nothing is generated.
        architecture: class and config that give `params`; None where the catalogue's number is used.
    """

    id: str
    params: int
    layers: int
    hidden: int
    intermediate: int
    tokens: int
    linear_params: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    vocabulary: int = 0
    architecture: dict[str, Any] | None = None

    def weight_bytes(self, precision: str) -> int:
        """Of all parameters.

        Args:
            precision: `fp32`, `fp16`, `bf16`, or `w4` (4 bit where 4 bit is done, bf16 elsewhere).
        """
        quantised = self.linear_params if precision == "w4" else 0
        rest = BITS_PER_WEIGHT["bf16" if precision == "w4" else precision]
        return round((quantised * BITS_PER_WEIGHT["w4"] + (self.params - quantised) * rest) / 8)

    def kv_bytes(self, batch: int, bytes_per_number: int = 2) -> int:
        """Keys and values of a batch in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.tokens * batch * bytes_per_number

    def activation_bytes(self, batch: int, bytes_per_number: int = 2) -> int:
        """The most that is alive at once in a forward pass without gradients, and the logits in fp32."""
        width = _LIVE_HIDDEN * self.hidden + _LIVE_INTERMEDIATE * self.intermediate
        return batch * (self.tokens * width * bytes_per_number + self.vocabulary * 4)


@cache
def shapes() -> tuple[Shape, ...]:
    """Every model whose shape is known."""
    text = (resources.files("streetvision_core.compression.memory") / "shapes.yaml").read_text()
    return tuple(
        Shape(**{"params": entry(row["id"]).params if "params" not in row else row["params"], **row})
        for row in yaml.safe_load(text)["models"]
    )


def shape(model_id: str) -> Shape | None:
    """The shape of a model, None where it is not known."""
    return next((one for one in shapes() if one.id == model_id), None)
