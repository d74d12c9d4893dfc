"""The sections of a night's report, made from the values that its steps return."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.exits import NEVER_HIGH, NEVER_LOW
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.economics.chain_facts import FACTS
from streetvision_core.labels import Label, Source
from streetvision_core.learning.compare import Comparison as Compared
from streetvision_core.learning.doubts import likely_label_errors
from streetvision_core.learning.mine import Mined
from streetvision_core.learning.worlds import WorldWorth
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
from streetvision_core.loop.report.pictures import thumbnail
from streetvision_core.loop.report.queries import (
    DoubtedPicture,
    Doubts,
    Hard,
    HardPicture,
    Latency,
    StageExits,
    Traffic,
)
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.registry.decision import GateDecision
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import Interval, bootstrap_decisions
from streetvision_core.settings import Settings
from streetvision_core.types import STAGES, Frame

Doubles = npt.NDArray[np.float64]
Metric = Callable[[Confusion], Doubles]

PICTURES: Final = 18
DOUBTED: Final = 8
EXACT_LABELS: Final = "These labels are the renderer's exact truth: here a doubt shows what the heads cannot see yet."
_LABELLED_BY: Final[Mapping[Source, str]] = {
    "renderer": "by the renderer's own truth, which no person has looked at",
    "machine": "by certified agreement of the sources, without a person",
    "caller": "by the caller who sent them",
}
_RENDERED: Final = (
    "{} of the night's queries are rendered, and so are their labels: figures on them speak of the rendered world, "
    "not of streets"
)
ABSENT_VLM: Final = "no package carries an image-text model; on this profile stage 3 is absent, not imitated"
WORLD_NAMES: Final = {"real": "photographs", "rendered": "rendered frames"}
METRICS: Final[dict[str, tuple[Metric, bool]]] = {
    "MCC": (Confusion.mcc, False),
    "accuracy": (Confusion.accuracy, False),
    "recall": (Confusion.recall, False),
    "false alarms": (Confusion.false_alarm_rate, True),
}


def traffic(settings: Settings, rows: Sequence[QueryRow]) -> Traffic:
    """What came in and where it left."""
    seconds = np.array([row.verdict.seconds for row in rows]) * 1000
    known = [row.verdict.roadwork == (row.truth == 1) for row in rows if row.truth is not None]
    latency = Latency(*(round(float(p), 2) for p in np.percentile(seconds, [50, 95, 99]))) if len(rows) else None
    return Traffic(
        frames=len(rows),
        said_roadwork=sum(row.verdict.roadwork for row in rows),
        exits=tuple(_exits(stage, rows) for stage in STAGES if stage != "vlm" or settings.models.vlm),
        latency=latency,
        correct=sum(known) if known else None,
        known=len(known),
        early=sum(row.verdict.certified and row.verdict.exit_stage != STAGES[-1] for row in rows),
        sources=dict(Counter(row.origin for row in rows)),
        eras=dict(Counter(row.era for row in rows)),
        absent_stages={} if settings.models.vlm else {"vlm": ABSENT_VLM},
        by_mode=_by_mode(rows),
    )


Read = Callable[[QueryRow], Frame]
"""Gives a query's image."""


def hard(mined: Mined, labels: Mapping[str, Label], read: Read) -> Hard:
    """The mined frames, the hardest as pictures.

    Args:
        mined: the frames.
        labels: the labels that hold, by sha256.
        read: gives an image.
    """
    order = np.argsort([-item.hardness for item in mined.chosen.items], kind="stable")[:PICTURES]
    return Hard(
        mined=len(mined.rows),
        pictures=tuple(_picture(mined, int(i), read) for i in order),
        modes=mined.mode_counts,
        reasons=mined.chosen.reason_counts(),
        reviewer=f"Labels: {who_labelled([row.sha256 for row in mined.rows], labels)}.",
    )


def who_labelled(images: Sequence[str], labels: Mapping[str, Label]) -> str:
    """Whose word the labels of these images are, as a sentence; what nobody has decided is called open.

    Example:
        >>> who_labelled(["a", "b"], {})
        'no label yet for 2 of 2 frames'
    """
    held = [labels[image] for image in images if image in labels]
    people = Counter(label.who for label in held if label.source == "person")
    others: Counter[Source] = Counter(label.source for label in held if label.source != "person")
    parts = [f"{sum(people.values())} by {', '.join(sorted(people))}"] if people else []
    parts += [f"{others[source]} {words}" for source, words in _LABELLED_BY.items() if others[source]]
    if (waiting := len(images) - len(held)) or not images:
        parts.append(f"no label yet for {waiting} of {len(images)} frames")
    return "; ".join(parts)


def doubts(mined: Mined, judged: Mapping[str, tuple[float, bool]], read: Read) -> Doubts:
    """The labels that are in doubt, the worst as pictures.

    Args:
        mined: frames and labels.
        judged: from `label_doubts`.
        read: gives an image.
    """
    found = likely_label_errors(mined.rows, mined.labels, judged)
    modes = {row.name: told for row, told in zip(mined.rows, mined.modes, strict=True)}
    pictures = tuple(
        DoubtedPicture(
            jpeg_base64=thumbnail(read(one.row).pixels, 300),
            name=one.row.name,
            source=f"{one.row.origin} ({one.row.era})",
            given=one.given,  # type: ignore[arg-type]
            fit=round(one.quality, 4),
            p_roadwork=one.row.verdict.p_roadwork,
            modes=modes[one.row.name],
        )
        for one in found[:DOUBTED]
    )
    exact = all(one.row.truth is not None for one in found)
    return Doubts(len(judged), len(found), pictures, EXACT_LABELS if found and exact else "")


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


def _by_mode(rows: Sequence[QueryRow]) -> dict[str, tuple[int, int]]:
    right: dict[str, list[bool]] = {}
    for row in rows:
        if row.wrong is not None:
            for mode in row.modes or ("plain",):
                right.setdefault(mode, []).append(not row.wrong)
    return {mode: (sum(answers), len(answers)) for mode, answers in sorted(right.items())}


def _exits(stage: str, rows: Sequence[QueryRow]) -> StageExits:
    seconds = [row.verdict.seconds for row in rows if row.verdict.exit_stage == stage]
    return StageExits(stage, len(seconds), round(float(np.median(seconds)) * 1000, 2) if seconds else None)  # type: ignore[arg-type]


def _picture(mined: Mined, i: int, read: Read) -> HardPicture:
    row = mined.rows[i]
    return HardPicture(
        jpeg_base64=thumbnail(read(row).pixels, 300),
        source=f"{row.origin} ({row.era})",
        p_roadwork=row.verdict.p_roadwork,
        stage=row.verdict.exit_stage,
        reason=", ".join(mined.chosen.items[i].reasons),
        truth=mined.labels[i],  # type: ignore[arg-type]
        modes=mined.modes[i],
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
