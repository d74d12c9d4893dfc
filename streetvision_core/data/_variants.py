"""What a validator would send of one photo: the photo itself and challenge images of the older eras."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from streetvision_core.data.table import era_weight
from streetvision_core.images.challenge import sample
from streetvision_core.images.decode import decode_image, encode_jpeg
from streetvision_core.types import Era, Frame

VARIANTS: Final[Mapping[Era, int]] = {"native": 1, "crop-224": 2, "letterbox-224": 2}
"""Rows per photo and era."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One row to be: a frame with its era and augmentation level."""

    name: str
    era: Era
    level: int
    frame: Frame

    @property
    def weight(self) -> float:
        """Its training weight."""
        return era_weight(self.era)


def variants(photo: Frame, name: str, counts: Mapping[Era, int] = VARIANTS) -> Iterator[Variant]:
    """Makes the variants of one photo, the same every time.

    Levels are drawn as validators draw them; challenge images pass through a JPEG of quality 75, as theirs do.

    Args:
        photo: the decoded photo.
        name: its name, which seeds the draws and starts the rows' ids.
        counts: how many variants of each era; a native photo exists once.
    """
    for era, count in counts.items():
        for index in range(count):
            if era == "native":
                yield Variant(f"{name}#native", era, 0, photo)
                continue
            seed = hashlib.sha256(f"{name}#{era}#{index}".encode()).digest()
            pixels, level = sample(photo.pixels, era, np.random.default_rng(int.from_bytes(seed[:8], "little")))
            frame = decode_image(encode_jpeg(pixels), f"{photo.source}#{era}#{index}")
            yield Variant(f"{name}#{era}#{index}", era, level, frame)
