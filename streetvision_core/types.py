"""The common currency: every value that crosses a room's border is one of these frozen types.

Nothing here imports more than numpy, so any room may use it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""RGB pixels, uint8 [H, W, 3]."""

FloatArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]

Stage = Literal["classifier", "detectors", "vlm", "ocr"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

UNSURE_MARGIN: Final = 0.1
"""How near to 0.5 an answer is shown as unsure. A rule for display and no calibrated band: it says that a person should
look, not how often such answers are wrong."""

Era = Literal["crop-224", "letterbox-224", "native"]
"""The validator's published image regimes: up to 2026-04-06, up to 2026-05-03, since then (FACTS 16b)."""
ERAS: Final[tuple[Era, ...]] = get_args(Era)

DeviceClass = Literal["cone", "drum", "barrier", "sign", "worker", "vehicle"]
"""What the stage-2 detectors look for. `vehicle` is a work vehicle or machine, never a passenger car."""
DEVICE_CLASSES: Final[tuple[DeviceClass, ...]] = get_args(DeviceClass)

FailureMode = Literal["night", "rain", "fog", "glare", "occlusion", "far", "small", "unusual"]
FAILURE_MODES: Final[tuple[FailureMode, ...]] = get_args(FailureMode)


def is_unsure(p_roadwork: float) -> bool:
    """Whether an answer is so near to the decision threshold that it is shown as unsure.

    Example:
        >>> [is_unsure(p) for p in (0.02, 0.41, 0.58, 0.61)]
        [False, True, True, False]
    """
    return abs(p_roadwork - 0.5) < UNSURE_MARGIN


class Split(StrEnum):
    """A set with one allowed use each; groups never stand in two of them."""

    TRAIN = "TRAIN"
    SELECT = "SELECT"
    CALIBRATE = "CALIBRATE"
    TEST = "TEST"


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One RGB image.

    Attributes:
        pixels: uint8 [H, W, 3], RGB.
        source: where it came from: a path, a URL, `scene:SEED`, a protocol name.
        sha256: hex digest of the encoded bytes it was decoded from, or of the raw pixels when it was made in memory.
        notes: what whoever reads the answer has to know, for instance that it is the first picture of an animation.
    """

    pixels: Pixels
    source: str
    sha256: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"Frame needs uint8 [H, W, 3], got {self.pixels.dtype} {self.pixels.shape}")

    @classmethod
    def from_pixels(cls, pixels: Pixels, source: str) -> Frame:
        """Makes a frame from pixels in memory; the digest covers shape and pixels."""
        digest = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())
        return cls(pixels, source, digest.hexdigest())

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Ordered frames with the time of each, in seconds from the clip's start."""

    frames: tuple[Frame, ...]
    timestamps_seconds: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.timestamps_seconds):
            raise ValueError(f"{len(self.frames)} frames but {len(self.timestamps_seconds)} timestamps")
        if any(b < a for a, b in zip(self.timestamps_seconds, self.timestamps_seconds[1:], strict=False)):
            raise ValueError("timestamps must not decrease")


@dataclass(frozen=True, slots=True)
class Box:
    """One detected or labelled object: corners in pixels of its frame, x0 < x1, y0 < y1, score in [0, 1]."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: DeviceClass
    score: float = 1.0

    @property
    def area_pixels(self) -> float:
        """Area in square pixels."""
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, coordinates rounded to a tenth of a pixel."""
        corners = [round(float(v), 1) for v in (self.x0, self.y0, self.x1, self.y1)]
        return {"box": corners, "label": self.label, "score": round(float(self.score), 4)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Box:
        """The inverse of `to_dict`."""
        x0, y0, x1, y1 = data["box"]
        return cls(x0, y0, x1, y1, data["label"], data["score"])


BoxesByDetector = Mapping[str, tuple[Box, ...]]
"""Detector's name to what it found in one frame, none where it looked and found nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one stage saw in one frame.

    Attributes:
        stage: the stage.
        scores: named numbers; the names of each stage are fixed in `streetvision_core.models.evidence`.
        boxes: objects found, by detector name.
        text: pieces of text read, if the stage reads; or why it could not answer.
        seconds: the frame's share of the wall time of the stage's batch, by the frame's own work.
    """

    stage: Stage
    scores: Mapping[str, float]
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)
    text: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether the stage saw anything; where it did not, `text` says why and nothing is decided on it."""
        return bool(self.scores)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "stage": self.stage,
            "scores": {k: round(float(v), 5) for k, v in self.scores.items()},
            "boxes": {name: [b.to_dict() for b in boxes] for name, boxes in self.boxes.items()},
            "text": list(self.text),
            "seconds": round(self.seconds, 5),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        """The inverse of `to_dict`."""
        boxes = {name: tuple(Box.from_dict(b) for b in bs) for name, bs in data["boxes"].items()}
        return cls(data["stage"], dict(data["scores"]), boxes, tuple(data["text"]), data["seconds"])


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one frame.

    Attributes:
        p_roadwork: probability of road work in (0, 1), remapped so that the paid threshold is 0.5; never exactly 0.5,
            never NaN.
        exit_stage: the stage whose evidence ended the cascade.
        certified: whether that exit lies in a certified band (False: the cascade ran out of stages).
        evidence: the evidence of every stage that ran, in order.
        model_version: the version that answered.
        policy: the exit policy's name, e.g. `certified` or `plan`.
        seconds: the frame's own: the sum of `Evidence.seconds` over the stages that ran on it. A stage divides the
            wall time of its batch among the frames by what each of them took, so the seconds of all frames add up to
            the time that was spent; decoding, waiting for a batch and other frames' stages are not in it.
        notes: the frame's.
    """

    p_roadwork: float
    exit_stage: Stage
    certified: bool
    evidence: tuple[Evidence, ...]
    model_version: str
    policy: str
    seconds: float
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        p = self.p_roadwork
        if not (0.0 <= p <= 1.0) or p == 0.5:
            raise ValueError(f"p_roadwork must lie in [0, 1] and not be 0.5 or NaN, got {p}")

    @property
    def roadwork(self) -> bool:
        """The hard decision at the paid threshold 0.5."""
        return self.p_roadwork > 0.5

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "p_roadwork": round(self.p_roadwork, 6),
            "roadwork": self.roadwork,
            "exit_stage": self.exit_stage,
            "certified": self.certified,
            "evidence": [e.to_dict() for e in self.evidence],
            "model_version": self.model_version,
            "policy": self.policy,
            "seconds": round(self.seconds, 5),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_dict`."""
        return cls(
            p_roadwork=data["p_roadwork"],
            exit_stage=data["exit_stage"],
            certified=data["certified"],
            evidence=tuple(Evidence.from_dict(e) for e in data["evidence"]),
            model_version=data["model_version"],
            policy=data["policy"],
            seconds=data["seconds"],
            notes=tuple(data.get("notes", ())),  # answers logged before there were notes have none
        )
