"""Champion and challenger before the challenge set: little is told of it, and all that is told counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.cascade.engine import predict_table
from streetvision_core.data.challenge_set import ChallengeSet
from streetvision_core.data.looks import Look, Looks
from streetvision_core.data.table import FeatureTable
from streetvision_core.loop.report.watch import Challenge, ChallengePart
from streetvision_core.loop.tasks.challenge import challenge_folder, challenge_set
from streetvision_core.loop.tasks.champion import load_parts
from streetvision_core.loop.tasks.day import Day
from streetvision_core.registry.versions import ModelVersion
from streetvision_core.scoring.adaptive import Ladder, budget_bits, deviation, rounded, shown_bits

BREAKDOWN: Final = "accuracy by origin and failure mode"
LADDER: Final = "better than all before, or not"
GATE: Final = "the gate's decision on real TEST photos, some of which are in the set"
BREAKDOWN_SHARE: Final = 1 / 3
"""Of what the set can carry within the tolerance, one version's breakdown may spend this much."""
_QUESTIONS: Final = 2
"""Yes or no of the ladder and of the gate: one bit each, as long as nothing ever gets better."""

Parts = Mapping[str, npt.NDArray[np.int64]]


def face_challenge(day: Day, champion: ModelVersion, challenger: ModelVersion) -> Challenge:
    """Both versions before the challenge set; what is told of it is counted.

    The champion's accuracy is told by origin and failure mode, once per version, as far as the set is large enough for
    that. Of the day's challenger only one thing is told: whether it beats all before it by a step (the Ladder).
    """
    chosen, rows = challenge_set(day)
    looks = Looks(challenge_folder(day) / "looks.json", chosen.digest)
    groups, tolerance = len(chosen.groups), day.settings.challenge.tolerance
    shown, withheld = affordable(chosen.parts(), chosen, tolerance)
    parts = _told(day, champion, shown, rows, looks)
    better = _ladder(day, challenger, rows, looks)
    if any(image.source == "starter" for image in chosen.images):
        serving = day.registry.champion()
        took_over = serving is not None and serving.name == challenger.name
        looks.add(Look(_now(), challenger.name, GATE, 1.0, yes=took_over))
    error = looks.trust(groups)
    return Challenge(
        sha256=chosen.digest,
        images=len(chosen),
        groups=groups,
        champion=champion.name,
        challenger=challenger.name,
        parts=parts,
        better_than_all_before=better,
        step=day.settings.challenge.step,
        looks=len(looks.looks),
        bits=round(looks.bits, 1),
        error_fresh=round(deviation(0.0, groups), 3),
        error_now=round(error, 3),
        warning=_warning(looks.bits, groups, tolerance),
        withheld=_size_note(withheld, groups, tolerance),
    )


def affordable(parts: Parts, chosen: ChallengeSet, tolerance: float) -> tuple[Parts, tuple[str, ...]]:
    """The parts a breakdown may show, largest first, and the names of those it keeps back.

    The whole set's figure is always shown. The choice follows from sizes alone, never from what a model answered.

    Args:
        parts: row numbers by part, `all` first.
        chosen: the set.
        tolerance: largest error bound tolerated.
    """
    left = BREAKDOWN_SHARE * budget_bits(tolerance, len(chosen.groups))
    shown: dict[str, npt.NDArray[np.int64]] = {}
    for name, members in parts.items():
        cost = shown_bits(_groups(chosen, members))
        if name == "all" or cost <= left:
            shown[name] = members
            left -= cost
    return shown, tuple(name for name in parts if name not in shown)


def _warning(bits: float, groups: int, tolerance: float) -> str:
    """Empty as long as the set has not been looked at more often than it can carry."""
    first_day = shown_bits(groups) + _QUESTIONS
    if bits <= max(budget_bits(tolerance, groups), first_day):
        return ""
    return (
        f"{bits:.0f} bits have been shown of a set of {groups} groups: whoever chose with them in mind may be off by "
        f"{deviation(bits, groups):.2f} (tolerated: {tolerance:g}). Trust new figures no further than that; collect a "
        "new set."
    )


def _size_note(withheld: tuple[str, ...], groups: int, tolerance: float) -> str:
    if not withheld:
        return ""
    return (
        f"Not shown: {', '.join(withheld)}. A set of {groups} groups carries {budget_bits(tolerance, groups):.0f} bits "
        f"before its figures may be off by more than {tolerance:g}; these parts would use it up. A larger set "
        "(challenge.folder, challenge.images) is broken down further."
    )


def _told(
    day: Day, champion: ModelVersion, parts: Parts, rows: FeatureTable, looks: Looks
) -> tuple[ChallengePart, ...]:
    right = _right(day, champion, rows)
    sizes = [len({rows.groups[i] for i in members}) for members in parts.values()]
    looks.add(Look(_now(), champion.name, BREAKDOWN, sum(shown_bits(n) for n in sizes)))
    return tuple(
        ChallengePart(name, len(members), n, rounded(float(right[members].mean()), n))
        for (name, members), n in zip(parts.items(), sizes, strict=True)
    )


def _ladder(day: Day, challenger: ModelVersion, rows: FeatureTable, looks: Looks) -> bool:
    earlier = looks.seen(challenger.name, LADDER)
    if earlier is not None:
        return earlier.yes is not False
    first = looks.best is None
    ladder, better = Ladder(day.settings.challenge.step, looks.best).climb(float(_right(day, challenger, rows).mean()))
    # The first always climbs, whatever the set holds: saying so tells nothing.
    looks.add(Look(_now(), challenger.name, LADDER, 0.0 if first else 1.0, ladder.best, None if first else better))
    return better


def _right(day: Day, version: ModelVersion, rows: FeatureTable) -> npt.NDArray[np.bool_]:
    says = predict_table(rows, *load_parts(day, version), day.settings.cascade.policy)
    return np.asarray((says.p > 0.5) == (rows.labels == 1), np.bool_)


def _groups(chosen: ChallengeSet, members: npt.NDArray[np.int64]) -> int:
    return len({chosen.images[i].group for i in members.tolist()})


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
