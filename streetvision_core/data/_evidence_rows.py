"""Evidence of the later stages for stored rows, kept in the feature store between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.models.evidence import (
    COUNT_SCORE,
    detector_evidence,
    ocr_evidence,
    vector,
    vlm_evidence,
    widen,
)
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.session import each
from streetvision_core.types import Box, BoxesByDetector, Frame

Row = npt.NDArray[np.float32]
_VERSION: Final = "1"


def no_evidence() -> Row:
    """A row where no later stage ran: float32 [E], all NaN."""
    return vector([])


class EvidenceMaker:
    """Runs detectors, the image-text model where there is one, and OCR where detectors found a sign.

    The last is the cascade's own rule. By any other, such as reading whole data sets, having been read would tell the
    camera.

    Args:
        models: detectors and reader; loaded here, so that missing weights show at once.
        ocr_min_width_pixels: narrower frames are not read, as in the cascade.
        seen: image digest to what these very detectors have found there just now, so that they need not look again.

    Raises:
        ModelError: a model's weights are not usable. `row` raises VlmError where the image-text model cannot be asked:
            a row that lacks it would be stored for good.
    """

    def __init__(
        self, models: ModelSet, ocr_min_width_pixels: int, seen: Mapping[str, BoxesByDetector] | None = None
    ) -> None:
        self._detectors = models.detectors
        self._vlm = models.vlm
        self._ocr = models.ocr
        self._min_width = ocr_min_width_pixels
        self._seen = seen or {}
        self._threads: int = getattr(models.backbone, "threads", 1)
        names = [f"{d.name}@{d.version}" for d in self._detectors]
        names += [f"vlm:{self._vlm.name}"] if self._vlm is not None else []
        self.make = "|".join(["evidence", _VERSION, *names, self._ocr.name if self._ocr else "no-ocr", "boxes"])

    def row(self, frame: Frame, store: FeatureStore) -> Row:
        """Evidence of one frame in the order of `EVIDENCE_NAMES`, from the store where it lies there.

        Args:
            frame: the image.
            store: the feature store.
        """
        return self.rows([frame], store)[0]

    def rows(self, frames: Sequence[Frame], store: FeatureStore) -> list[Row]:
        """Evidence of several frames, like `row`; those that are not stored run side by side, then are stored."""
        known = store.get([frame.sha256 for frame in frames], self.make)
        new = {frame.sha256: frame for frame in frames if frame.sha256 not in known}
        if new:
            made = each(self._run, new.values(), self._threads)
            store.put(list(new), self.make, np.stack(made))
            known |= dict(zip(new, made, strict=True))
        return [widen(known[frame.sha256]) for frame in frames]

    def _run(self, frame: Frame) -> Row:
        boxes = self._seen.get(frame.sha256)
        if boxes is None:
            boxes = {detector.name: detector.detect([frame])[0] for detector in self._detectors}
        evidence = [detector_evidence(boxes, frame.width, frame.height, 0.0)] if boxes else []
        if self._vlm is not None:
            evidence.append(vlm_evidence(self._vlm.answer([frame]), 0.0))
        signs = [box for found in boxes.values() for box in found if _is_sign(box)]
        if self._ocr is not None and frame.width >= self._min_width and signs:
            evidence.append(ocr_evidence(self._ocr.read(frame, signs), 0.0))
        return vector(evidence)


def _is_sign(box: Box) -> bool:
    return box.label == "sign" and box.score >= COUNT_SCORE
