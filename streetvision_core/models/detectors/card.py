"""The card beside a trained detector's weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from streetvision_core.errors import ManifestError
from streetvision_core.storage import atomic_write_json

CARD: Final = "card.json"
WEIGHTS: Final = "model.safetensors"
_FORMAT: Final = "detector/1"


@dataclass(frozen=True, slots=True)
class DetectorCard:
    """How a detector is built again before its weights are read into it.

    Attributes:
        architecture: `nano`, `small`, `medium`, … for RF-DETR; the network's name, e.g. `yolo12x`, for YOLO.
        classes: class names in the order of its outputs.
        version: from what was trained and how.
        config: arguments that differ from the architecture's own, e.g. `resolution`.
        trained_on: what it was trained on.
        seen_groups: groups of photos it was trained on; calibration and tests leave them out.
        licence: of the weights.
    """

    architecture: str
    classes: tuple[str, ...]
    version: str
    config: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str = ""
    seen_groups: tuple[str, ...] = ()
    licence: str = "unknown"

    def write(self, folder: Path) -> None:
        """Writes card.json."""
        atomic_write_json(folder / CARD, {"format": _FORMAT, **asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> DetectorCard:
        """Reads card.json.

        Raises:
            ManifestError: it is missing or not of this form.
        """
        try:
            data = json.loads((folder / CARD).read_text())
            if data.pop("format") != _FORMAT:
                raise ValueError("another format")
            classes, groups = tuple(data.pop("classes")), tuple(data.pop("seen_groups"))
            return cls(**data, classes=classes, seen_groups=groups)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(
                got=f"{folder / CARD}: {type(error).__name__} {error}",
                allowed=f"a card of the form {_FORMAT} beside {WEIGHTS}",
                action="make the detector again with notebook 21 or 22",
            ) from error
