"""A verdict over time: the cascade's answers to single frames, smoothed, and the stretches that show road work.

Example:
    >>> answer = predict_clip(clip, cascade)                                        # doctest: +SKIP
    >>> [(s.start_seconds, s.end_seconds) for s in answer.segments]                 # doctest: +SKIP
    [(4.2, 11.0)]
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.settings import VideoSettings
from streetvision_core.types import Clip, Frame, Verdict

Mode = Literal["direct", "keyframes", "search"]
BATCH: Final = 8
MAX_LOGIT: Final = 4.0
"""One frame's certainty counts up to p = 0.982, or it would outvote all its neighbours."""
NOT_CALIBRATED: Final = (
    "each frame's p is calibrated on single images; smoothing over time and the maximum over a video are not, "
    "so read a video's p as a score, not as a frequency"
)


class Answers(Protocol):
    """What a timeline needs of `streetvision_core.cascade.engine.Cascade`."""

    def predict(self, frames: Sequence[Frame], deadline_seconds: float | None = None) -> list[Verdict]:
        """One verdict per frame, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """One frame's answer.

    Attributes:
        seconds: since the video's start.
        verdict: the cascade's.
        smoothed: p after smoothing over the neighbours of the same stretch.
    """

    seconds: float
    verdict: Verdict
    smoothed: float

    def to_dict(self, evidence: bool = False) -> dict[str, Any]:
        """A JSON-ready form; with everything the stages saw only if asked."""
        told = {"at_seconds": round(self.seconds, 3), "smoothed": round(self.smoothed, 4), **self.verdict.to_dict()}
        for key in ("model_version", "policy", *(() if evidence else ("evidence",))):
            told.pop(key)
        return told


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch that shows road work.

    Attributes:
        start_seconds: where the smoothed p rises above 0.5, between two frames by straight line.
        end_seconds: where it falls below.
        p_roadwork: the highest smoothed p in it.
        peak_seconds: the frame that has it.
    """

    start_seconds: float
    end_seconds: float
    p_roadwork: float
    peak_seconds: float

    def to_dict(self) -> dict[str, float]:
        """A JSON-ready form."""
        return {
            "start_seconds": round(self.start_seconds, 2),
            "end_seconds": round(self.end_seconds, 2),
            "p_roadwork": round(self.p_roadwork, 4),
            "peak_seconds": round(self.peak_seconds, 2),
        }


@dataclass(frozen=True, slots=True)
class Opinion:
    """What an image-text model said of a stretch.

    Attributes:
        start_seconds: the stretch's.
        end_seconds: the stretch's.
        p_roadwork: its P(yes) against P(no), not calibrated.
        model: its name.
        frames: how many it was shown.
    """

    start_seconds: float
    end_seconds: float
    p_roadwork: float
    model: str
    frames: int


@dataclass(frozen=True, slots=True)
class ClipVerdict:
    """The answer for a video.

    Attributes:
        source: the video's name.
        seconds: its length.
        mode: how it was answered.
        p_roadwork: the highest smoothed p; a score, not a calibrated probability; never exactly 0.5.
        segments: stretches that show road work, in order.
        timeline: the answered frames, in order.
        examined: stretches (start, end) in seconds that were answered; of the others nothing is known.
        screening: (seconds, score) of the index that was searched, score in [0, 1]; empty unless `mode` is search.
        opinions: what an image-text model said of stretches, if the profile has one.
        model_version: the version that answered.
        policy: the exit policy's name.
        compute_seconds: wall time from file to answer.
        notes: what the reader has to know.
    """

    source: str
    seconds: float
    mode: Mode
    p_roadwork: float
    segments: tuple[Segment, ...]
    timeline: tuple[Answered, ...]
    examined: tuple[tuple[float, float], ...]
    model_version: str
    policy: str
    compute_seconds: float
    screening: tuple[tuple[float, float], ...] = ()
    opinions: tuple[Opinion, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def roadwork(self) -> bool:
        """The hard decision: some stretch shows road work."""
        return self.p_roadwork > 0.5

    def to_dict(self, evidence: bool = False) -> dict[str, Any]:
        """A JSON-ready form.

        Args:
            evidence: with everything the stages saw in each frame.
        """
        return {
            "source": self.source,
            "seconds": round(self.seconds, 3),
            "mode": self.mode,
            "p_roadwork": round(self.p_roadwork, 6),
            "roadwork": self.roadwork,
            "calibrated": False,
            "segments": [segment.to_dict() for segment in self.segments],
            "timeline": [answered.to_dict(evidence) for answered in self.timeline],
            "examined": [[round(a, 2), round(b, 2)] for a, b in self.examined],
            "screening": [[round(at, 2), round(score, 4)] for at, score in self.screening],
            "opinions": [asdict(opinion) for opinion in self.opinions],
            "model_version": self.model_version,
            "policy": self.policy,
            "compute_seconds": round(self.compute_seconds, 4),
            "notes": list(self.notes),
        }


def predict_clip(
    clip: Clip, cascade: Answers, settings: VideoSettings | None = None, deadline_seconds: float | None = None
) -> ClipVerdict:
    """Answers every frame of a clip and sums up.

    Args:
        clip: at least one frame, in memory.
        cascade: answers frames.
        settings: how far answers are smoothed.
        deadline_seconds: frames not begun by then are left out, every second or fourth first, and the notes say so.
    """
    settings, began = settings or VideoSettings(), time.perf_counter()
    if not clip.frames:
        raise ValueError("a clip needs at least one frame")
    found: dict[int, Verdict] = {}
    order = sorted(range(len(clip.frames)), key=lambda i: (i % 4 != 0, i % 2 != 0, i))
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        left = None if deadline_seconds is None else deadline_seconds - (time.perf_counter() - began)
        if found and left is not None and left <= 0:
            break
        found |= dict(zip(rows, cascade.predict([clip.frames[i] for i in rows], left), strict=True))
    rows = sorted(found)
    late = len(order) - len(rows)
    times = clip.timestamps_seconds
    return sum_up(
        [(times[i], found[i]) for i in rows],
        [(times[0], times[-1])],
        settings,
        source=clip.source,
        seconds=times[-1] - times[0],
        mode="direct",
        compute_seconds=time.perf_counter() - began,
        notes=(f"{late} of {len(order)} frames were left out: the deadline",) if late else (),
    )


def sum_up(
    answers: Sequence[tuple[float, Verdict]],
    spans: Sequence[tuple[float, float]],
    settings: VideoSettings,
    *,
    opinions: Sequence[Opinion] = (),
    notes: tuple[str, ...] = (),
    **facts: Any,
) -> ClipVerdict:
    """Makes the verdict over time from frames' verdicts.

    Args:
        answers: (seconds, verdict) in order, at least one.
        spans: the stretches (start, end) they were taken from; nothing is smoothed across their borders.
        settings: the smoothing.
        opinions: what an image-text model said of stretches; in its stretch it has as much weight as all frames.
        notes: what the reader has to know besides.
        **facts: the remaining fields of `ClipVerdict`.
    """
    timeline: list[Answered] = []
    segments: list[Segment] = []
    for start, end in spans:
        part = [(at, verdict) for at, verdict in answers if start <= at <= end]
        if part:
            times = np.array([at for at, _ in part])
            smoothed = smooth(times, _logits([verdict for _, verdict in part]), settings.smooth_seconds)
            for opinion in opinions:
                if opinion.start_seconds == start:
                    smoothed = (smoothed + _logit(np.array(opinion.p_roadwork))) / 2
            timeline += [Answered(at, v, _p(z)) for (at, v), z in zip(part, smoothed, strict=True)]
            segments += find_segments(times, smoothed, start, end)
    blind = sum(not verdict.evidence for _, verdict in answers)
    if blind:
        notes = (*notes, f"the first stage failed on {blind} of {len(answers)} frames, which count as undecided")
    return ClipVerdict(
        p_roadwork=max(answered.smoothed for answered in timeline),
        segments=tuple(segments),
        timeline=tuple(timeline),
        examined=tuple(spans),
        opinions=tuple(opinions),
        model_version=answers[0][1].model_version,
        policy=answers[0][1].policy,
        notes=(*notes, NOT_CALIBRATED),
        **facts,
    )


def smooth(
    times: npt.NDArray[np.float64], logits: npt.NDArray[np.float64], deviation_seconds: float
) -> npt.NDArray[np.float64]:
    """Each logit's mean with its neighbours in time, weighted by a Gaussian.

    Args:
        times: seconds [N].
        logits: [N].
        deviation_seconds: of the Gaussian.

    Returns:
        [N].

    Example:
        >>> smooth(np.array([0.0, 1.0, 2.0]), np.array([0.0, 4.0, 0.0]), 1.0).round(2).tolist()
        [1.39, 1.81, 1.39]
    """
    weights = np.exp(-0.5 * ((times[:, None] - times[None, :]) / deviation_seconds) ** 2)
    made: npt.NDArray[np.float64] = (weights @ logits) / weights.sum(axis=1)
    return made


def find_segments(
    times: npt.NDArray[np.float64], logits: npt.NDArray[np.float64], start_seconds: float, end_seconds: float
) -> list[Segment]:
    """The stretches on which the straight lines between (time, logit) lie above zero.

    Args:
        times: seconds [N], rising.
        logits: [N].
        start_seconds: where a segment that is there from the first frame begins.
        end_seconds: where a segment that lasts to the last frame ends.

    Example:
        >>> [s.to_dict() for s in find_segments(np.array([0.0, 2.0, 4.0]), np.array([-1.0, 1.0, -1.0]), 0.0, 5.0)]
        [{'start_seconds': 1.0, 'end_seconds': 3.0, 'p_roadwork': 0.7311, 'peak_seconds': 2.0}]
    """
    above = np.concatenate([[False], logits > 0, [False]])
    begins, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:])
    found = []
    for first, past in zip(begins.tolist(), ends.tolist(), strict=True):
        peak = first + int(np.argmax(logits[first:past]))
        found.append(
            Segment(
                start_seconds if first == 0 else _crossing(times, logits, first - 1),
                end_seconds if past == len(times) else _crossing(times, logits, past - 1),
                _p(logits[peak]),
                float(times[peak]),
            )
        )
    return found


def _crossing(times: npt.NDArray[np.float64], logits: npt.NDArray[np.float64], left: int) -> float:
    share = logits[left] / (logits[left] - logits[left + 1])
    return float(times[left] + share * (times[left + 1] - times[left]))


def _logits(verdicts: Sequence[Verdict]) -> npt.NDArray[np.float64]:
    """Bounded logits; a frame no stage saw anything in counts as undecided."""
    return _logit(np.array([v.p_roadwork if v.evidence else 0.5 for v in verdicts]))


def _logit(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    made: npt.NDArray[np.float64] = np.clip(np.log(p) - np.log1p(-p), -MAX_LOGIT, MAX_LOGIT)
    return made


def _p(logit: float) -> float:
    p = float(1 / (1 + np.exp(-logit)))
    return p if p != 0.5 else float(np.nextafter(0.5, 0))
