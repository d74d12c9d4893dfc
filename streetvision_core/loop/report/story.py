"""What a day's report tells. Every section may be `Missing` with a reason; it is then shown as not available.

The story is validated where it is made: unknown keys, NaN and values outside their range are refused, so a typing
error in a notebook cannot silently empty a section.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from streetvision_core.errors import ResultError
from streetvision_core.loop.report.watch import Challenge, Drift, Memory
from streetvision_core.loop.steps import StepResult
from streetvision_core.types import FailureMode, Stage

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=1_400_000)]
"""Base64 without line breaks: a JPEG or PNG of at most about 1 MB."""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Missing:
    """Stands for a section that cannot be told.

    Attributes:
        reason: why, as the end of the sentence "not available: …".
    """

    reason: str


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Estimate:
    """A number with its interval.

    Attributes:
        value: the point estimate; None where it is undefined, e.g. MCC with one class only.
        low: lower end of the 95 % interval, None if none was computed.
        high: upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Latency:
    """Time from pixels to answer over all frames, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Traffic:
    """What came in.

    Attributes:
        frames: frames answered.
        said_roadwork: how many of them were answered "road work".
        correct: how many answers were right; None where the truth is unknown.
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
    sources: Mapping[str, Count] = field(default_factory=dict)
    eras: Mapping[str, Count] = field(default_factory=dict)
    absent_stages: Mapping[Stage, str] = field(default_factory=dict)
    by_mode: Mapping[str, tuple[Count, Count]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, config=_CONFIG)
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


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Hard:
    """What was hard.

    Attributes:
        mined: frames put before the reviewer.
        pictures: some of them, the hardest first; at most 48 are shown.
        modes: failure mode to count among the mined.
        reasons: why frames were mined, reason to count.
        reviewer: whose word the truth is, one sentence.
    """

    mined: Count
    pictures: tuple[HardPicture, ...] = ()
    modes: Mapping[str, Count] = field(default_factory=dict)
    reasons: Mapping[str, Count] = field(default_factory=dict)
    reviewer: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Comparison:
    """Champion against challenger, one metric on one set.

    Attributes:
        metric: e.g. `MCC`, `recall`.
        data: the set, e.g. `rendered, held out`.
        n: frames in it.
        groups: independent groups in it; None if unknown.
        champion: the champion's estimate.
        challenger: the challenger's.
        lower_is_better: e.g. for Brier score and false alarms.
    """

    metric: str
    data: str
    n: Count
    champion: Estimate
    challenger: Estimate
    groups: Count | None = None
    lower_is_better: bool = False


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Change:
    """What changed.

    Attributes:
        champion: version that served today.
        challenger: version that was trained today.
        learned_from: one sentence on its training data.
        comparisons: the table.
    """

    champion: str
    challenger: str
    comparisons: tuple[Comparison, ...]
    learned_from: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Check:
    """One condition of the gate.

    Attributes:
        name: e.g. `Superior overall (rendered, held out)`.
        measured: the number as people read it, e.g. `p = 0.003, 41 gained, 18 lost`.
        needed: the condition, e.g. `p < 0.05`.
        passed: whether it held.
        meaning: one plain sentence.
    """

    name: str
    measured: str
    needed: str
    passed: bool
    meaning: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Gate:
    """The decision.

    Attributes:
        promoted: whether the challenger became champion.
        reasons: plain sentences, the weightiest first.
        checks: every condition with its number.
    """

    promoted: bool
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Band:
    """The exit band of one stage: below `low` it answers none, above `high` road work, between it asks the next stage.

    Attributes:
        stage: the stage.
        certified: whether the band carries the guarantee.
        low: upper end of the "none" exits; None if that side never exits.
        high: lower end of the "road work" exits; None if that side never exits.
        coverage: share of CALIBRATE frames that exit.
        exits: how many exit.
        errors: how many of those are wrong.
        reason: why it could not be certified, or how it was.
    """

    stage: Stage
    certified: bool
    low: Share | None = None
    high: Share | None = None
    coverage: Share | None = None
    exits: Count | None = None
    errors: Count | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Bands:
    """How sure it is.

    Attributes:
        alpha: largest error share among exits that is promised.
        delta: the promise may fail with this probability.
        bands: one per stage.
        note: what the reader should know, e.g. the size of CALIBRATE.
    """

    alpha: Share
    delta: Share
    bands: tuple[Band, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Plot:
    """A picture of numbers.

    Attributes:
        title: what it shows.
        png_base64: the PNG (`pictures.png_of_figure`).
        alt: what a person who cannot see it needs to know.
        note: one sentence on how to read it.
    """

    title: str
    png_base64: Base64
    alt: str
    note: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class RealRow:
    """The serving model on the real photos of one origin (TEST rows only).

    Attributes:
        origin: where the photos come from.
        n: photos.
        groups: independent places or clips.
        accuracy: share of right answers.
        recall: share of road work found; None without positives.
        false_alarms: share of other photos answered "road work"; None without negatives.
        mcc: Matthews correlation; None with one class only.
    """

    origin: str
    n: Count
    accuracy: Estimate
    recall: Estimate | None = None
    false_alarms: Estimate | None = None
    mcc: Estimate | None = None
    groups: Count | None = None


@dataclass(frozen=True, slots=True, config=_CONFIG)
class RealPhotos:
    """Rows by origin, the sum first, and a sentence on what they are."""

    rows: tuple[RealRow, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Honesty:
    """What stands behind the numbers, as plain sentences.

    Attributes:
        known: facts.
        measured: measured in this run.
        estimated: extrapolated, or measured on stand-ins such as rendered frames.
        unknown: what nobody here can know, e.g. that stage 3 is absent and what it would add.
    """

    known: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    estimated: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


_NOT_TOLD = Missing("the step that tells it did not run")


@dataclass(frozen=True, slots=True, config=_CONFIG)
class DayStory:
    """A day as the report tells it.

    Attributes:
        day: the day.
        profile: the settings profile.
        champion: version that serves after this day.
        generated_at: ISO time, UTC.
        headline: one sentence; empty: written from the decision (`headlines.headline`).
        summary: one to three sentences below it; may be empty.
        traffic: what came in.
        hard: what was hard.
        change: champion against challenger.
        gate: the decision.
        bands: exit bands.
        plots: reliability diagram and the like.
        real: the serving model on real photos.
        challenge: the fixed set nothing was ever trained on.
        memory: what was forgotten of the base photos.
        drift: whether queries, answers and errors still look as they did.
        honesty: what is known, measured, estimated, unknown.
        steps: what became of the steps, in order.
    """

    day: dt.date
    profile: str
    generated_at: str
    champion: str = "none yet"
    headline: str = ""
    summary: str = ""
    traffic: Traffic | Missing = _NOT_TOLD
    hard: Hard | Missing = _NOT_TOLD
    change: Change | Missing = _NOT_TOLD
    gate: Gate | Missing = _NOT_TOLD
    bands: Bands | Missing = _NOT_TOLD
    plots: tuple[Plot, ...] | Missing = _NOT_TOLD
    real: RealPhotos | Missing = _NOT_TOLD
    challenge: Challenge | Missing = _NOT_TOLD
    memory: Memory | Missing = _NOT_TOLD
    drift: Drift | Missing = _NOT_TOLD
    honesty: Honesty | Missing = _NOT_TOLD
    steps: tuple[StepResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = TypeAdapter(DayStory).dump_python(self, mode="json")
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DayStory:
        """A story from plain data, such as recorded results; raises ResultError naming the first wrong key."""
        story: DayStory = parse(TypeAdapter(cls), data, "the day's story")
        return story


def parse(adapter: TypeAdapter[Any], data: Mapping[str, Any], what: str) -> Any:
    """Validates plain data; raises ResultError naming the first wrong key."""
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        # Of a section that may be Missing, the error about the section itself is the useful one.
        errors = [e for e in error.errors() if "Missing" not in e["loc"]] or error.errors()
        where = ".".join(str(part) for part in errors[0]["loc"])
        raise ResultError(
            got=f"{where} = {str(errors[0].get('input'))[:80]!r} in {what}",
            allowed=errors[0]["msg"],
            action="mend what the notebook records; the fields are described in streetvision_core.loop.report.story",
            where=where,
        ) from error
