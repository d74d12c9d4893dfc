"""The sections of a night's report about versions: what changed, the decision, exits, photographs, honesty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.exits import NEVER_HIGH, NEVER_LOW
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.economics.chain_facts import FACTS
from streetvision_core.learning.compare import Comparison as Compared
from streetvision_core.learning.worlds import WorldWorth
from streetvision_core.loop.report._absent import ABSENT_VLM
from streetvision_core.loop.report.fields import Estimate
from streetvision_core.loop.report.models import (
    Band,
    Bands,
    Change,
    Check,
    Comparison,
    Gate,
    Honesty,
    RealPhotos,
    RealRow,
    WorldRow,
)
from streetvision_core.registry.decision import GateDecision
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import Interval, bootstrap_decisions
from streetvision_core.settings import Settings

Doubles = npt.NDArray[np.float64]
Metric = Callable[[Confusion], Doubles]

_RENDERED: Final = (
    "{} of the night's queries are rendered, and so are their labels: figures on them speak of the rendered world, "
    "not of streets"
)
WORLD_NAMES: Final = {"real": "photographs", "rendered": "rendered frames"}
METRICS: Final[dict[str, tuple[Metric, bool]]] = {
    "MCC": (Confusion.mcc, False),
    "accuracy": (Confusion.accuracy, False),
    "recall": (Confusion.recall, False),
    "false alarms": (Confusion.false_alarm_rate, True),
}


def change(contest: Compared, learned_from: str) -> Change:
    """Champion against challenger on the TEST rows, rendered and real."""
    return Change(
        champion=contest.champion.name,
        challenger=contest.challenger.name,
        comparisons=tuple(
            compare(contest, name, rendered) for rendered in (True, False) for name in METRICS if len(contest.test)
        ),
        learned_from=learned_from,
    )


def compare(contest: Compared, metric: str, rendered: bool) -> Comparison:
    """One metric on the rendered or the real TEST rows, with intervals over groups."""
    mask = contest.rows_of(rendered)
    groups = [group for group, chosen in zip(contest.test.table.groups, mask, strict=True) if chosen]
    fn, lower_is_better = METRICS[metric]
    y = contest.test.table.labels[mask]
    estimates = [
        estimate(fn, says.p[mask], y, groups) for says in (contest.champion_answers, contest.challenger_answers)
    ]
    return Comparison(
        metric=metric,
        data="rendered, held out" if rendered else "real photos, TEST",
        n=int(mask.sum()),
        champion=estimates[0],
        challenger=estimates[1],
        groups=len(set(groups)),
        lower_is_better=lower_is_better,
    )


def estimate(fn: Metric, p: Doubles, y: npt.NDArray[np.int8], groups: Sequence[str]) -> Estimate:
    """A metric with its 95 % interval by bootstrap over groups; None where it is not defined."""
    return _estimated(bootstrap_decisions(fn, p, y, list(groups)))


def _world_row(worth: WorldWorth) -> WorldRow:
    return WorldRow(
        WORLD_NAMES[worth.calibrated_on],
        WORLD_NAMES[worth.answers],
        worth.rows,
        worth.groups,
        _estimated(worth.mcc),
        _estimated(worth.auc),
        _estimated(worth.log_loss),
        worth.calibrated_on == "real",
    )


def _estimated(interval: Interval) -> Estimate:
    values = (interval.point, interval.low, interval.high)
    point, low, high = (round(v, 4) if np.isfinite(v) else None for v in values)
    return Estimate(point, low, high)


def bands(settings: Settings, calibration: CascadeCalibration, worths: Sequence[WorldWorth] = ()) -> Bands:
    """The exit bands, for stages without one why, and what the calibration of each world is worth.

    Args:
        settings: what the bands promise.
        calibration: what serves.
        worths: from `learning.worlds.compare_worlds`.
    """
    told = [
        Band(
            stage=stage,
            certified=band.certified,
            low=band.low if band.low > NEVER_LOW else None,
            high=band.high if band.high < NEVER_HIGH else None,
            coverage=round(band.coverage, 4),
            exits=band.n_exits,
            errors=band.n_errors,
            reason=band.reason,
        )
        for stage, band in calibration.bands.items()
    ]
    told += [Band(stage=stage, certified=False, reason=reason) for stage, reason in calibration.absent.items()]
    cascade, made = settings.cascade, calibration.made_with
    note = f"One frame per group of CALIBRATE was tested: {made.rows} photographs of {made.groups} groups."
    return Bands(cascade.alpha, cascade.delta, tuple(told), note, tuple(_world_row(worth) for worth in worths))


def gate(decision: GateDecision, waits: str = "") -> Gate:
    """The decision, every condition with its number.

    Args:
        decision: the gate's.
        waits: why a challenger that passed does not serve; empty if it does.
    """
    numbers = decision.numbers
    promoted, reasons = decision.promote and not waits, ((waits, *decision.reasons) if waits else decision.reasons)
    if "superiority" not in numbers:
        return Gate(promoted, reasons, waits=waits)
    votes = numbers["superiority"]
    checks = [
        Check(
            name="Superior overall",
            measured=f"p = {votes['p_value']:.2g}; {votes['better']} groups better, {votes['worse']} worse",
            needed=f"exact one-sided McNemar p <= {decision.protocol['alpha']:g}",
            passed=votes["passed"],
            meaning="each group of frames has one vote",
        ),
        *(
            Check(
                name=f"No worse: {origin['origin']}",
                measured=f"{origin['extra_errors']:+d} errors over {origin['rows']} rows of {origin['groups']} groups",
                needed=(
                    f"loss at most {decision.protocol['margin']:.0%}, proved"
                    if origin["kind"] == "test"
                    else f"no more than {decision.protocol['margin']:.0%} of the rows (a guard, too few groups to test)"
                ),
                passed=origin["passed"],
                meaning=origin["reason"],
            )
            for origin in numbers["origins"]
        ),
    ]
    if erosion := numbers.get("erosion"):
        checks.append(
            Check(
                name=f"Photographs against the first version, {erosion['first']}",
                measured=(
                    f"{erosion['extra_errors']:+d} errors over {erosion['rows']} rows of {erosion['groups']} groups"
                ),
                needed=f"loss at most {decision.protocol['erosion']['margin']:.0%} since then, all in all",
                passed=erosion["passed"],
                meaning=erosion["reason"],
            )
        )
    return Gate(promoted, reasons, tuple(checks), waits)


def real_photos(contest: Compared, promoted: bool) -> RealPhotos:
    """The serving version on real TEST photos, pooled and by origin."""
    says = contest.challenger_answers if promoted else contest.champion_answers
    mask = contest.rows_of(rendered=False)
    origins = np.array(contest.test.table.origins)
    names = [None, *sorted(set(origins[mask]))]
    rows = [_real_row(contest, says.p, mask if name is None else mask & (origins == name), name) for name in names]
    note = (
        "TEST rows of the starter pack: features of real photos and their era variants; no photo lies in the repository"
    )
    return RealPhotos(tuple(rows), note)


def honesty(settings: Settings, rendered: int) -> Honesty:
    """What stands behind the numbers.

    Args:
        settings: the profile.
        rendered: how many of the night's queries were rendered.
    """
    return Honesty(
        known=tuple(f"{fact.statement} ({fact.source})" for fact in FACTS if fact.status == "known"),
        measured=(
            "every figure on this page comes from this run; intervals are 95 %, by bootstrap over independent groups",
        ),
        estimated=(_RENDERED.format(rendered),) if rendered else (),
        unknown=(
            *(() if settings.models.vlm else (f"what stage 3 would add: {ABSENT_VLM}",)),
            "how well it does on the validators' own images, which are not public here",
        ),
    )


def _real_row(contest: Compared, p: Doubles, mask: npt.NDArray[np.bool_], name: str | None) -> RealRow:
    y = contest.test.table.labels[mask]
    groups = [group for group, chosen in zip(contest.test.table.groups, mask, strict=True) if chosen]
    told = {metric: estimate(fn, p[mask], y, groups) for metric, (fn, _) in METRICS.items()}
    both = 0 < y.sum() < len(y)
    return RealRow(
        origin=name or "all real photos",
        n=int(mask.sum()),
        accuracy=told["accuracy"],
        recall=told["recall"] if y.any() else None,
        false_alarms=told["false alarms"] if not y.all() else None,
        mcc=told["MCC"] if both else None,
        groups=len(set(groups)),
    )
