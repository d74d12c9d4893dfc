"""Real photographs that are at hand, classified by a version; they are read, never copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from streetvision_core.cascade.engine import Cascade
from streetvision_core.data.sources import read_labels
from streetvision_core.images.decode import read_image
from streetvision_core.types import Pixels, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One real photograph and its answer.

    Attributes:
        source: data set or package, and file name.
        pixels: uint8 [H, W, 3].
        label: 1 road work, 0 none, None: nobody has labelled it.
        verdict: the answer.
    """

    source: str
    pixels: Pixels
    label: int | None
    verdict: Verdict

    @property
    def right(self) -> bool | None:
        """Whether the answer is right; None without a label."""
        return None if self.label is None else self.verdict.roadwork == (self.label == 1)


def classify_photos(cascade: Cascade, streets: Path, limit: int, seed: int) -> list[Photo]:
    """Up to `limit` photographs: the collection if it is there, else what packages bring.

    The collection may have taught the version; this is a look, not a measurement.

    Args:
        cascade: answers.
        streets: folder of the collection; it may be absent.
        limit: how many.
        seed: another seed draws others.
    """
    found = list(_collection(streets, limit, seed)) or list(_packaged())
    frames = [read_image(path) for path, _, _ in found]
    verdicts = cascade.predict(frames)
    return [
        Photo(source, frame.pixels, label, verdict)
        for (_, source, label), frame, verdict in zip(found, frames, verdicts, strict=True)
    ]


def _collection(streets: Path, limit: int, seed: int) -> Iterator[tuple[Path, str, int | None]]:
    if not (streets / "labels.csv").exists():
        return
    images = [image for image in read_labels(streets) if image.label is not None]
    rng = np.random.default_rng(seed)
    for i in sorted(rng.choice(len(images), min(limit, len(images)), replace=False)):
        image = images[i]
        yield image.path, f"{image.origin.split()[0]}: {image.path.name}", image.label


def _packaged() -> Iterator[tuple[Path, str, int | None]]:
    """Ultralytics carries one street photograph; finding it does not import the package."""
    spec = find_spec("ultralytics")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "assets" / "bus.jpg"
        if path.exists():
            yield path, "ultralytics: bus.jpg", 0
