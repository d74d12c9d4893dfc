"""The sign atlas: names, kinds, regions, real sizes and textures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from PIL import Image

from streetvision_core.data.scenes._canvas import Texture
from streetvision_core.types import Pixels

_ASSETS: Final = resources.files("streetvision_core.data.scenes") / "assets"


@dataclass(frozen=True, slots=True)
class SignSprite:
    """One sign: `kind` is work or other, `region` us, eu or any; sizes in metres."""

    name: str
    kind: str
    region: str
    width_m: float
    height_m: float
    texture: Texture


@cache
def load_signs() -> dict[str, SignSprite]:
    """Every sign of the atlas by name."""
    with (_ASSETS / "signs.png").open("rb") as file:
        sheet: Pixels = np.asarray(Image.open(file).convert("RGBA"))
    index = json.loads((_ASSETS / "signs.json").read_text())
    signs = {}
    for name, entry in index.items():
        x, y, width, height = entry["box"]
        texture = Texture(np.ascontiguousarray(sheet[y : y + height, x : x + width]))
        size = float(entry["height_m"])
        signs[name] = SignSprite(name, entry["kind"], entry["region"], size * width / height, size, texture)
    return signs


@cache
def sign_names(kind: str, region: str) -> tuple[str, ...]:
    """Names of the signs of one kind that stand in a region, in atlas order."""
    return tuple(s.name for s in load_signs().values() if s.kind == kind and s.region in (region, "any"))
