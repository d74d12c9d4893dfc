"""Champion and challenger before the challenge set: little is shown of it, and all that is shown counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.challenge_set import ChallengeSet
from streetvision_core.data.looks import Look, Looks
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.versions import Version
from streetvision_core.learning.watch import Challenge, ChallengePart
from streetvision_core.scoring.adaptive import Ladder, budget_bits, deviation, rounded, shown_bits
from streetvision_core.settings import Settings

BREAKDOWN: Final = "accuracy by origin and failure mode"
LADDER: Final = "better than all before, or not"
GATE: Final = "the gate's decision on real TEST photos, some of which are in the set"
BREAKDOWN_SHARE: Final = 1 / 3
"""Of what the set can carry within the tolerance, one version's breakdown may spend this much."""
_QUESTIONS: Final = 2
"""Yes or no of the ladder and of the gate: one bit each, as long as nothing ever gets better."""

Parts = Mapping[str, npt.NDArray[np.int64]]


def record_faced_challenge(
    champion: Version,
    challenger: Version,
    chosen: ChallengeSet,
    rows: Dataset,
    looks: Looks,
    settings: Settings,
    serving: str,
) -> Challenge:
    """Both versions before the challenge set; what is shown of it is counted in `looks`, so nobody looks for nothing.

    The champion's accuracy is shown by origin and failure mode, once per version, as far as the set is large enough
    for that. Of the challenger one thing is shown: whether it beats all before it by a step (the Ladder).

    Args:
        champion: the version that was compared with.
        challenger: the version that wanted to serve.
        chosen: the set.
        rows: its rows, in its order.
        looks: what has been shown of it before; written.
        settings: the profile.
        serving: the version that serves from now on.
    """
    groups, tolerance, policy = len(chosen.groups), settings.challenge.tolerance, settings.cascade.policy
    shown, withheld = affordable(chosen.parts(), chosen, tolerance)
    parts = _parts(champion, shown, rows, looks, policy)
    better = _ladder(challenger, rows, looks, settings.challenge.step, policy)
    if any(image.source == "starter" for image in chosen.images):
        looks.add(Look(_now(), challenger.name, GATE, 1.0, yes=serving == challenger.name))
    error = looks.trust(groups)
    return Challenge(
        sha256=chosen.digest,
        images=len(chosen),
        groups=groups,
        champion=champion.name,
        challenger=challenger.name,
        parts=parts,
        better_than_all_before=better,
        step=settings.challenge.step,
        looks=len(looks.looks),
        bits=round(looks.bits, 1),
        error_fresh=round(deviation(0.0, groups), 3),
        error_now=round(error, 3),
        warning=_warning(looks.bits, groups, tolerance),
        withheld=_size_note(withheld, groups, tolerance),
    )


def looks_file(data: Path) -> Path:
    """Where what has been shown of the set is counted."""
    return data / "challenge" / "looks.json"


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


def _parts(champion: Version, parts: Parts, rows: Dataset, looks: Looks, policy: str) -> tuple[ChallengePart, ...]:
    right = _right(champion, rows, policy)
    sizes = [len({rows.table.groups[i] for i in members}) for members in parts.values()]
    looks.add(Look(_now(), champion.name, BREAKDOWN, sum(shown_bits(n) for n in sizes)))
    return tuple(
        ChallengePart(name, len(members), n, rounded(float(right[members].mean()), n))
        for (name, members), n in zip(parts.items(), sizes, strict=True)
    )


def _ladder(challenger: Version, rows: Dataset, looks: Looks, step: float, policy: str) -> bool:
    earlier = looks.seen(challenger.name, LADDER)
    if earlier is not None:
        return earlier.yes is not False
    first = looks.best is None
    ladder, better = Ladder(step, looks.best).climb(float(_right(challenger, rows, policy).mean()))
    # The first always climbs, whatever the set holds: saying so shows nothing.
    looks.add(Look(_now(), challenger.name, LADDER, 0.0 if first else 1.0, ladder.best, None if first else better))
    return better


def _right(version: Version, rows: Dataset, policy: str) -> npt.NDArray[np.bool_]:
    return np.asarray((version.answer(rows, policy).p > 0.5) == (rows.table.labels == 1), np.bool_)


def _groups(chosen: ChallengeSet, members: npt.NDArray[np.int64]) -> int:
    return len({chosen.images[i].group for i in members.tolist()})


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
