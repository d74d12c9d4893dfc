"""What a day tells about its queries: what came in, what was hard, which labels are in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from pydantic.dataclasses import dataclass

from streetvision_core.loop.report.fields import STRICT, Base64, Count, Share
from streetvision_core.types import FailureMode, Stage


@dataclass(frozen=True, slots=True, config=STRICT)
class StageExits:
    """Frames that left the cascade at one stage.

    Attributes:
        stage: the stage.
        frames: how many left there.
        median_ms: median time from pixels to answer of those frames, milliseconds; None if there were none.
    """

    stage: Stage
    frames: Count
    median_ms: float | None = None


@dataclass(frozen=True, slots=True, config=STRICT)
class Latency:
    """Time from pixels to answer over all frames, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, config=STRICT)
class Traffic:
    """What came in.

    Attributes:
        frames: frames answered.
        said_roadwork: how many of them were answered "road work".
        correct: how many answers were right, of those whose truth is known; None where no truth is.
        known: how many frames have a known truth.
        early: frames that left by a certified exit before the last stage.
        sources: where the frames came from, name to count, e.g. `rendered drives`.
        eras: image regime to count.
        exits: frames by the stage where they left.
        absent_stages: stages this profile does not have, with the reason.
        latency: over all frames.
        by_mode: failure mode to (answered right, answered) of the frames whose truth is known.
    """

    frames: Count
    said_roadwork: Count
    exits: tuple[StageExits, ...]
    latency: Latency | None = None
    correct: Count | None = None
    known: Count | None = None
    early: Count | None = None
    sources: Mapping[str, Count] = field(default_factory=dict)
    eras: Mapping[str, Count] = field(default_factory=dict)
    absent_stages: Mapping[Stage, str] = field(default_factory=dict)
    by_mode: Mapping[str, tuple[Count, Count]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, config=STRICT)
class HardPicture:
    """One mined frame.

    Attributes:
        jpeg_base64: a thumbnail (`pictures.thumbnail`).
        source: where the frame came from.
        p_roadwork: what the champion answered.
        stage: where it left the cascade.
        reason: why it was mined, a few words.
        truth: 1 road work, 0 none, None unknown.
        modes: failure modes it shows.
    """

    jpeg_base64: Base64
    source: str
    p_roadwork: Share
    stage: Stage
    reason: str
    truth: Literal[0, 1] | None = None
    modes: tuple[FailureMode, ...] = ()


@dataclass(frozen=True, slots=True, config=STRICT)
class Hard:
    """What was hard.

    Attributes:
        mined: frames put before the reviewer.
        pictures: some of them, the hardest first; at most 48 are shown.
        modes: failure mode to count among the mined.
        reasons: why frames were mined, reason to count.
        reviewer: who has labelled them and how many wait, one sentence.
    """

    mined: Count
    pictures: tuple[HardPicture, ...] = ()
    modes: Mapping[str, Count] = field(default_factory=dict)
    reasons: Mapping[str, Count] = field(default_factory=dict)
    reviewer: str = ""


@dataclass(frozen=True, slots=True, config=STRICT)
class DoubtedPicture:
    """One frame whose label is in doubt.

    Attributes:
        jpeg_base64: a thumbnail (`pictures.thumbnail`).
        name: of the query, by which the review finds it.
        source: where the frame came from.
        given: the label it has, 1 road work, 0 none.
        fit: the probability that heads which saw neither the frame nor its group give that label.
        p_roadwork: what the champion answered.
        modes: failure modes it shows.
    """

    jpeg_base64: Base64
    name: str
    source: str
    given: Literal[0, 1]
    fit: Share
    p_roadwork: Share
    modes: tuple[FailureMode, ...] = ()


@dataclass(frozen=True, slots=True, config=STRICT)
class Doubts:
    """Labels of the day that are in doubt.

    Attributes:
        judged: how many labels were judged.
        suspects: how many of them are in doubt.
        pictures: the worst of them, worst first.
        note: what the reader has to know about the labels; may be empty.
    """

    judged: Count
    suspects: Count
    pictures: tuple[DoubtedPicture, ...] = ()
    note: str = ""
