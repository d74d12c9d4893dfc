"""What is watched from night to night: the challenge set, what was forgotten, drift."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from streetvision_core.scoring.fields import STRICT, Count, Share


@dataclass(frozen=True, slots=True, config=STRICT)
class ChallengePart:
    """The champion on a part of the challenge set.

    Attributes:
        name: `all`, an origin or a failure mode.
        images: how many.
        groups: independent groups among them.
        accuracy: share answered right, rounded to what so many groups can carry.
    """

    name: str
    images: Count
    groups: Count
    accuracy: Share


@dataclass(frozen=True, slots=True, config=STRICT)
class Challenge:
    """The fixed set that nothing was ever trained on.

    Attributes:
        sha256: of the set.
        images: in it.
        groups: independent ones.
        champion: the version measured by parts.
        challenger: the version of which one thing is shown.
        parts: the champion's accuracy.
        better_than_all_before: whether the challenger beat all earlier ones by `step`.
        step: of the ladder, in accuracy.
        looks: how many things have been shown of the set.
        bits: how much they say together.
        error_fresh: 95 % bound on the error of a figure from a set nobody has looked at.
        error_now: the bound after these looks, for whoever chose with them in mind.
        warning: that the set has been looked at too often; may be empty.
        withheld: which parts are not shown, because the set is too small for them; may be empty.
    """

    sha256: str
    images: Count
    groups: Count
    champion: str
    challenger: str
    parts: tuple[ChallengePart, ...]
    better_than_all_before: bool
    step: Share
    looks: Count
    bits: float
    error_fresh: Share
    error_now: Share
    warning: str = ""
    withheld: str = ""


@dataclass(frozen=True, slots=True, config=STRICT)
class MemoryRow:
    """How much of one origin's base photos the serving version has forgotten.

    Attributes:
        origin: of the base photos.
        images: TEST photos.
        best: the best accuracy any version has had.
        best_version: which one.
        now: the accuracy of the version that serves from now on.
        forgotten: best - now, the forgetting measure of Chaudhry et al. (ECCV 2018, arXiv 1801.10112).
    """

    origin: str
    images: Count
    best: Share
    best_version: str
    now: Share
    forgotten: Share


@dataclass(frozen=True, slots=True, config=STRICT)
class Memory:
    """Forgetting on the base set, by origin, the sum first.

    Attributes:
        version: the version that serves from now on.
        rows: one per origin.
        stream_share: share of the training weight that the stream has.
        capped: rows of the stream that the caps left out.
    """

    version: str
    rows: tuple[MemoryRow, ...]
    stream_share: Share = 0.0
    capped: Count = 0


@dataclass(frozen=True, slots=True, config=STRICT)
class DriftRow:
    """One kind of drift.

    Attributes:
        kind: `input`, `prediction` or `calibration`.
        watched: independent frames so far.
        evidence: the test martingale's value; betting against "nothing has changed" multiplied one unit to this.
        peak: its largest value so far.
        threshold: an alarm is given at this value.
        alarm_day: the first day of alarm; empty if there was none.
        today: what the day looks like against the days before, in words.
    """

    kind: str
    watched: Count
    evidence: float
    peak: float
    threshold: float
    alarm_day: str = ""
    today: str = ""


@dataclass(frozen=True, slots=True, config=STRICT)
class Drift:
    """Whether the queries, the answers and their errors still look as they did.

    Attributes:
        rows: one per kind.
        alpha: chance of any false alarm, ever, over all kinds together.
        since: the first day watched.
        version: the model whose answers are watched.
    """

    rows: tuple[DriftRow, ...]
    alpha: Share
    since: str
    version: str
