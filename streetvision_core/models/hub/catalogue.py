"""What is known of every big model before a byte of it is here; the facts stand in `catalogue.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, get_args

import yaml

from streetvision_core.errors import ModelError
from streetvision_core.settings import Settings

Role = Literal["backbone", "detector", "vlm", "video_vlm", "image_text", "ocr", "segmenter", "generator", "baseline"]
Source = Literal["hub", "trained"]
Gating = Literal["none", "manual"]
Precision = Literal["fp32", "fp16", "bf16"]

BYTES_PER_PARAMETER: Final[Mapping[str, int]] = {"fp32": 4, "fp16": 2, "bf16": 2}
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of the catalogue.

    Attributes:
        id: its repository on the hub, or the name of what is trained here.
        role: the job it does.
        source: pulled from the hub, or trained here.
        loader: the class that runs it, dotted.
        extra: the extra of this package that installs what it needs.
        params: number of parameters.
        params_from: where that number comes from.
        precision: what the profiles run it in.
        licence: of the weights.
        gating: `manual` where the owner must grant access first.
        files: patterns of the files that are needed; nothing else is downloaded.
        revision: the commit, or `unknown` until the first pull records one.
        revision_from: how the commit is known.
        licence_url: the licence's text, where it is not a standard one.
        gating_note: what to know before asking for access.
        made_by: for what is trained here, how.
        note: what else a user should know.
    """

    id: str
    role: Role
    source: Source
    loader: str
    extra: str
    params: int
    params_from: str
    precision: Precision
    licence: str
    gating: Gating
    files: tuple[str, ...]
    revision: str = UNKNOWN
    revision_from: str = ""
    licence_url: str = ""
    gating_note: str = ""
    made_by: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        checks = ((self.role, Role), (self.source, Source), (self.gating, Gating), (self.precision, Precision))
        wrong = [value for value, allowed in checks if value not in get_args(allowed)]
        if wrong or self.params <= 0 or not self.files or (self.source == "trained") != bool(self.made_by):
            raise ValueError(f"catalogue entry {self.id!r}: {wrong or 'params, files or made_by'}")

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights at the precision they run in."""
        return self.params * BYTES_PER_PARAMETER[self.precision]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "files": list(self.files), "weight_bytes": self.weight_bytes}


@cache
def entries() -> tuple[ModelEntry, ...]:
    """The whole catalogue, in its own order."""
    text = (resources.files("streetvision_core.models.hub") / "catalogue.yaml").read_text()
    return tuple(_entry(row) for row in yaml.safe_load(text)["models"])


def entry(model_id: str) -> ModelEntry:
    """Looks a model up.

    Raises:
        ModelError: no such model.
    """
    found = next((one for one in entries() if one.id == model_id), None)
    if found is None:
        raise ModelError(
            got=f"model {model_id!r}",
            allowed=", ".join(one.id for one in entries()),
            action="run: streetvision models list",
            model=model_id,
        )
    return found


def wanted(settings: Settings) -> tuple[ModelEntry, ...]:
    """The catalogue's entries that a profile names; embedded models come with packages and have none."""
    chosen = settings.models
    asked = (chosen.vlm, chosen.video_vlm, chosen.image_text, chosen.ocr)
    names = {chosen.backbone, *chosen.detectors, *asked, chosen.segmenter, chosen.generator}
    return tuple(one for one in entries() if one.id in names)


def _entry(row: dict[str, Any]) -> ModelEntry:
    rest = {key: value for key, value in row.items() if key not in ("class", "files")}
    return ModelEntry(**rest, loader=row["class"], files=tuple(row["files"]))
