"""What a day tells about its models: what changed, the gate's decision, how sure the answers are, real photos."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from streetvision_core.loop.report.fields import STRICT, Count, Estimate, Share
from streetvision_core.types import Stage


@dataclass(frozen=True, slots=True, config=STRICT)
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


@dataclass(frozen=True, slots=True, config=STRICT)
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


@dataclass(frozen=True, slots=True, config=STRICT)
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


@dataclass(frozen=True, slots=True, config=STRICT)
class Gate:
    """The decision.

    Attributes:
        promoted: whether the challenger became champion.
        reasons: plain sentences, the weightiest first.
        checks: every condition with its number.
        waits: why a challenger that passed does not serve yet; empty otherwise.
    """

    promoted: bool
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    waits: str = ""


@dataclass(frozen=True, slots=True, config=STRICT)
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


@dataclass(frozen=True, slots=True, config=STRICT)
class WorldRow:
    """What a calibration made in one world is worth in another, on TEST.

    Attributes:
        calibrated_on: the world that made it, as people call it.
        answers: the world of the answered rows, as people call it.
        n: rows answered.
        groups: independent groups among them.
        mcc: Matthews correlation.
        auc: area under the ROC curve.
        log_loss: of the calibrated probabilities.
        serves: whether requests are answered by it.
    """

    calibrated_on: str
    answers: str
    n: Count
    groups: Count
    mcc: Estimate
    auc: Estimate
    log_loss: Estimate
    serves: bool


@dataclass(frozen=True, slots=True, config=STRICT)
class Bands:
    """How sure it is.

    Attributes:
        alpha: largest error share among exits that is promised.
        delta: the promise may fail with this probability.
        bands: one per stage.
        note: what the reader should know, e.g. the size of CALIBRATE.
        worlds: what a calibration on photographs and one on rendered frames is worth in each world.
    """

    alpha: Share
    delta: Share
    bands: tuple[Band, ...]
    note: str = ""
    worlds: tuple[WorldRow, ...] = ()


@dataclass(frozen=True, slots=True, config=STRICT)
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


@dataclass(frozen=True, slots=True, config=STRICT)
class RealPhotos:
    """Rows by origin, the sum first, and a sentence on what they are."""

    rows: tuple[RealRow, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, config=STRICT)
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
