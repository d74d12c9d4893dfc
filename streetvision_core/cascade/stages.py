"""Stage adapters: models in, evidence out. None of them decides anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from streetvision_core.data.feature_keeper import FeatureKeeper
from streetvision_core.data.feature_store import make_name
from streetvision_core.errors import VlmError
from streetvision_core.models.evidence import (
    COUNT_SCORE,
    classifier_evidence,
    detector_evidence,
    ocr_evidence,
    vlm_evidence,
)
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.features import extract
from streetvision_core.models.head import Head
from streetvision_core.models.session import stopwatch
from streetvision_core.models.vlm import Vlm
from streetvision_core.types import STAGES, Box, Evidence, Frame, Stage

if TYPE_CHECKING:
    from streetvision_core.models.detectors import Detector

_log = structlog.get_logger()

SoFar = Sequence[tuple[Evidence, ...]]


class StageAdapter(Protocol):
    """One stage of the cascade."""

    @property
    def stage(self) -> Stage:
        """Which one."""

    def takes(self, frame: Frame, so_far: tuple[Evidence, ...]) -> bool:
        """Whether the stage can see anything in this frame, given its size and the evidence it has already."""

    def run(self, frames: Sequence[Frame], so_far: SoFar) -> list[Evidence]:
        """Evidence of each frame; `Evidence.seconds` is its share of the batch's wall time, see `divide`.

        Args:
            frames: a batch.
            so_far: the evidence each frame has already.
        """


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierStage:
    """Stage 1: frozen backbone and head; the features go to the keeper, where there is one."""

    models: ModelSet
    head: Head
    keeper: FeatureKeeper | None = None
    stage: Stage = "classifier"

    def takes(self, frame: Frame, so_far: tuple[Evidence, ...]) -> bool:
        """Every frame."""
        return True

    def run(self, frames: Sequence[Frame], so_far: SoFar) -> list[Evidence]:
        """See `StageAdapter.run`."""
        started = time.perf_counter()
        with stopwatch() as own:
            features = extract(frames, self.models.backbone, self.models.preprocessor)
        logits = self.head.predict_logit(features)
        if self.keeper is not None:
            make = make_name(self.models.backbone, self.models.preprocessor)
            self.keeper.keep([frame.sha256 for frame in frames], make, features)
        seconds = divide(time.perf_counter() - started, own, len(frames))
        return [classifier_evidence(float(logit), s) for logit, s in zip(logits, seconds, strict=True)]


class DetectorsStage:
    """Stage 2: all detectors side by side, each in a thread of its own."""

    stage: Stage = "detectors"

    def __init__(self, models: ModelSet) -> None:
        self._models = models
        self._pool = ThreadPoolExecutor(max(1, len(models.detectors)), thread_name_prefix="sv-detector")

    def takes(self, frame: Frame, so_far: tuple[Evidence, ...]) -> bool:
        """Every frame."""
        return True

    def run(self, frames: Sequence[Frame], so_far: SoFar) -> list[Evidence]:
        """See `StageAdapter.run`."""
        started = time.perf_counter()
        jobs = {d.name: self._pool.submit(_detect, d, frames) for d in self._models.detectors}
        done = {name: job.result() for name, job in jobs.items()}
        own = [sum(both) for both in zip(*(seconds for _, seconds in done.values()), strict=True)]
        seconds = divide(time.perf_counter() - started, own, len(frames))
        return [
            detector_evidence({name: boxes[i] for name, (boxes, _) in done.items()}, frame.width, frame.height, s)
            for i, (frame, s) in enumerate(zip(frames, seconds, strict=True))
        ]


def _detect(detector: Detector, frames: Sequence[Frame]) -> tuple[list[tuple[Box, ...]], list[float]]:
    """What it found, and the part of its time that each frame took."""
    started = time.perf_counter()
    with stopwatch() as own:
        found = detector.detect(frames)
    return found, divide(time.perf_counter() - started, own, len(frames))


def divide(seconds: float, own: Sequence[float], frames: int) -> list[float]:
    """Divides a batch's wall time among its frames by what each took, so that all shares add up to it.

    Args:
        seconds: wall time of the batch.
        own: what each frame took, side by side with others; of another length where the model takes all frames in one
            call, which has no parts: then all shares are equal.
        frames: how many.

    Example:
        >>> divide(6.0, [1.0, 3.0], 2)
        [1.5, 4.5]
        >>> divide(6.0, [], 2)
        [3.0, 3.0]
    """
    weights = list(own) if len(own) == frames and sum(own) > 0 else [1.0] * frames
    return [seconds * weight / sum(weights) for weight in weights]


@dataclass(frozen=True, slots=True, eq=False)
class VlmStage:
    """Stage 3: an image-text model is asked yes or no.

    A model that cannot be reached, or fails, costs its stage and nothing else: the evidence says so in its text.
    """

    vlm: Vlm
    stage: Stage = "vlm"

    def takes(self, frame: Frame, so_far: tuple[Evidence, ...]) -> bool:
        """Every frame."""
        return True

    def run(self, frames: Sequence[Frame], so_far: SoFar) -> list[Evidence]:
        """See `StageAdapter.run`."""
        started = time.perf_counter()
        try:
            answers = self.vlm.answer_each(frames)
        except VlmError as error:
            _log.warning("stage skipped", stage=self.stage, frames=len(frames), error=str(error))
            seconds = (time.perf_counter() - started) / max(1, len(frames))
            return [Evidence(self.stage, {}, text=(f"no answer: {error.got}",), seconds=seconds) for _ in frames]
        seconds = (time.perf_counter() - started) / max(1, len(frames))
        return [vlm_evidence(answer, seconds) for answer in answers]


@dataclass(frozen=True, slots=True, eq=False)
class OcrStage:
    """Stage 4: reads the signs the detectors found, in frames wide enough to be read.

    Reading a whole frame costs more than all other stages together, so a frame without a sign is not read.
    """

    models: ModelSet
    min_width_pixels: int
    stage: Stage = "ocr"

    def takes(self, frame: Frame, so_far: tuple[Evidence, ...]) -> bool:
        """Frames of at least `min_width_pixels` in which a detector found a sign."""
        return frame.width >= self.min_width_pixels and bool(_signs(so_far))

    def run(self, frames: Sequence[Frame], so_far: SoFar) -> list[Evidence]:
        """See `StageAdapter.run`; frames are read one by one."""
        return [self._read(frame, evidence) for frame, evidence in zip(frames, so_far, strict=True)]

    def _read(self, frame: Frame, so_far: tuple[Evidence, ...]) -> Evidence:
        started = time.perf_counter()
        reader = self.models.ocr
        texts = reader.read(frame, _signs(so_far)) if reader is not None else ()
        return ocr_evidence(texts, time.perf_counter() - started)


def _signs(so_far: tuple[Evidence, ...]) -> list[Box]:
    """Signs that count, as they do where evidence is stored for training."""
    found = [boxes for e in so_far if e.stage == "detectors" for boxes in e.boxes.values()]
    return [box for boxes in found for box in boxes if box.label == "sign" and box.score >= COUNT_SCORE]


@dataclass(frozen=True, slots=True, eq=False)
class StageSet:
    """The stages of one cascade, in order, and those it has not got.

    Attributes:
        present: adapters in the order of `STAGES`.
        absent: the reason by stage.
    """

    present: tuple[StageAdapter, ...]
    absent: Mapping[Stage, str]


_Builder = Callable[[ModelSet, Head, int, "FeatureKeeper | None"], "StageAdapter | str"]

_BUILDERS: Final[Mapping[Stage, _Builder]] = MappingProxyType(
    {
        "classifier": lambda models, head, width, keeper: ClassifierStage(models, head, keeper),
        "detectors": lambda models, head, width, keeper: (
            DetectorsStage(models) if models.detectors else "the profile names no detector"
        ),
        "vlm": lambda models, head, width, keeper: (
            VlmStage(models.vlm) if models.vlm is not None else "the profile names no image-text model"
        ),
        "ocr": lambda models, head, width, keeper: (
            OcrStage(models, width) if models.has_ocr else "the profile names no reader"
        ),
    }
)


def build_stages(
    models: ModelSet,
    head: Head,
    ocr_min_width_pixels: int,
    unwanted: Mapping[Stage, str] | None = None,
    keeper: FeatureKeeper | None = None,
) -> StageSet:
    """Makes the adapters of every stage whose model is there.

    Args:
        models: the profile's models.
        head: stage 1's head.
        ocr_min_width_pixels: narrower frames are not read.
        unwanted: stages that are left out, and why; their models are not even loaded.
        keeper: is given every frame's features.
    """
    absent = dict(unwanted or {})
    present = []
    for stage in STAGES:
        if stage not in absent:
            built = _BUILDERS[stage](models, head, ocr_min_width_pixels, keeper)
            if isinstance(built, str):
                absent[stage] = built
            else:
                present.append(built)
    return StageSet(tuple(present), absent)
