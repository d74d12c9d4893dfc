"""Every stage on every frame: what training, calibration and the gate need, and serving never pays for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data._evidence_rows import EvidenceMaker, no_evidence
from streetvision_core.data.feature_store import FeatureStore, make_name, store_path
from streetvision_core.models.evidence import widen
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.settings import Settings
from streetvision_core.types import Box, BoxesByDetector, Frame

_BATCH: Final = 16


@dataclass(frozen=True)
class Observer:
    """The frozen models of a profile, and where what they saw is kept.

    Attributes:
        models: backbone, preprocessing, detectors, image-text model, reader.
        store: the feature store's file.
        ocr_min_width_pixels: narrower frames are not read.
    """

    models: ModelSet
    store: Path
    ocr_min_width_pixels: int

    @classmethod
    def of(cls, settings: Settings, models: ModelSet | None = None) -> Observer:
        """The observer of a profile; its models are loaded when first used."""
        made = models if models is not None else load_models(settings)
        return cls(made, store_path(settings), settings.cascade.ocr_min_width_pixels)

    @property
    def detectors(self) -> tuple[str, ...]:
        """`name@version` of each detector, in the profile's order."""
        return self.models.detector_keys

    @property
    def make(self) -> str:
        """Short digest of everything a stored row depends on: backbone, preprocessing, detectors and their weights."""
        return self.make_with(self.detectors)

    def make_with(self, detectors: Sequence[str]) -> str:
        """`make` with other detectors, by `name@version`."""
        names = (self.models.backbone.name, self.models.preprocessor.name, *detectors)
        return hashlib.sha256("|".join(names).encode()).hexdigest()[:12]

    def observe(
        self, frames: Sequence[Frame], caption: str | None = None, seen: Mapping[str, BoxesByDetector] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Features float32 [N, D] and full evidence float32 [N, E] of frames; see `observe`."""
        width = self.ocr_min_width_pixels
        return observe(frames, self.models, self.store, ocr_min_width_pixels=width, progress=caption, seen=seen)

    def observe_stored(
        self, digests: Sequence[str], read: Callable[[str], Frame | None], caption: str | None = None
    ) -> dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Features [D] and evidence [E] of images by the sha256 of their bytes; only what is not stored is read.

        Args:
            digests: of the images; several may be the same.
            read: gives an image, or None where it cannot be read: it is then left out.
            caption: of the progress bars.
        """
        kept = FeatureStore(self.store)
        maker = EvidenceMaker(self.models, self.ocr_min_width_pixels)
        features = kept.get(digests, make_name(self.models.backbone, self.models.preprocessor))
        evidence = kept.get(digests, maker.make)
        new = [digest for digest in dict.fromkeys(digests) if digest not in features or digest not in evidence]
        for start in range(0, len(new), _BATCH):
            frames = {digest: read(digest) for digest in new[start : start + _BATCH]}
            some = {digest: frame for digest, frame in frames.items() if frame is not None}
            rows = self.observe(list(some.values()), caption)
            features |= dict(zip(some, rows[0], strict=True))
            evidence |= dict(zip(some, rows[1], strict=True))
        seen = (digest for digest in dict.fromkeys(digests) if digest in features and digest in evidence)
        return {digest: (features[digest], widen(evidence[digest])) for digest in seen}


def boxes_of(frame: Frame, models: ModelSet) -> dict[str, tuple[Box, ...]]:
    """What each stage-2 detector finds in one frame, by detector."""
    return {detector.name: detector.detect([frame])[0] for detector in models.detectors}


def observe(
    frames: Sequence[Frame],
    models: ModelSet,
    store: Path,
    *,
    ocr_min_width_pixels: int,
    progress: str | None = None,
    seen: Mapping[str, BoxesByDetector] | None = None,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Features and full evidence, each made once and kept in the feature store.

    Args:
        frames: N images of any size.
        models: the profile's frozen models.
        store: the feature store's file.
        ocr_min_width_pixels: narrower frames are not read.
        progress: caption of a progress bar; None shows none.
        seen: image digest to what the profile's detectors have found there just now; they do not look again.

    Returns:
        features float32 [N, D] and evidence float32 [N, E], NaN where a stage did not run.
    """
    from rich.progress import track

    kept, maker = FeatureStore(store), EvidenceMaker(models, ocr_min_width_pixels, seen)
    features = kept.features(frames, models.backbone, models.preprocessor, progress=progress)
    starts = range(0, len(frames), _BATCH)
    shown = track(starts, description=f"{progress}: evidence", disable=progress is None)
    evidence = [row for start in shown for row in maker.rows(frames[start : start + _BATCH], kept)]
    return features, np.stack(evidence) if evidence else no_evidence()[None][:0]
