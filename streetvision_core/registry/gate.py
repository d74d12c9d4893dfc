"""The gate: a paired, pre-registered test with a default, and the default is to keep the champion.

A challenger is promoted only if all of this holds on the same rows:

1. it is superior overall: exact one-sided McNemar test, one vote per group;
2. its accuracy and its MCC over all rows are not lower (a guard: many small wins must not pay for a lost drive);
3. it is not inferior at any origin: a test where an origin has groups enough to carry one, else a guard that says so;
4. on photographs it has not lost more than a margin against the first version of its make (see `erosion`).

All parts must pass, so the probability to promote a challenger that violates one of 1 and the tests of 3 and 4 is at
most alpha (an intersection-union test needs no correction).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.registry.decision import GateDecision, Override, protocol_sha256
from streetvision_core.registry.erosion import Erosion, FirstAnswers, erosion_protocol, measure_erosion
from streetvision_core.registry.paired import (
    IntArray,
    group_votes,
    loss_bound,
    mcnemar_p,
    number_groups,
    pass_probability,
)
from streetvision_core.scoring.metrics import mcc
from streetvision_core.settings import GateSettings

__all__ = ["FirstAnswers", "GateDecision", "Override", "decide", "protocol"]

SMALL_ORIGINS: Final = "small origins"
CARRY_POWER: Final = 0.8
CARRY_DISCORDANCE: Final = 0.02
GUARD_FREE_ERRORS: Final = 1
Bools = npt.NDArray[np.bool_]


def protocol(settings: GateSettings) -> dict[str, Any]:
    """The rules, fixed before any data are seen; their digest is kept with each decision."""
    return {
        "name": "paired-groups/2",
        "alpha": settings.alpha,
        "margin": settings.margin,
        "min_origin_size_groups": settings.min_origin_size,
        "threshold": 0.5,
        "vote": "sign of (challenger right - champion right) over a group's rows",
        "superiority": "exact one-sided McNemar on the votes, p <= alpha",
        "overall_guard": "accuracy and MCC over all rows not lower",
        "non_inferiority": "P(worse) - P(better) <= margin by Clopper-Pearson bounds at alpha / 2 each",
        "carries_a_test": f"equal models differing on {CARRY_DISCORDANCE} of groups pass with power {CARRY_POWER}",
        "origin_guard": f"extra errors <= max({GUARD_FREE_ERRORS}, floor(margin * rows))",
        "small_origins": "pooled and judged together, and each by the guard",
        "erosion": erosion_protocol(settings),
        "default": "keep the champion",
    }


@dataclass(frozen=True, slots=True)
class _Rows:
    """The paired answers, as right or wrong."""

    champion: Bools
    challenger: Bools
    groups: IntArray
    origins: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class OriginResult:
    """How the challenger did at one origin."""

    origin: str
    kind: str
    rows: int
    groups: int
    better: int
    worse: int
    extra_errors: int
    passed: bool
    bound: float | None
    reason: str


def decide(
    champion_p: npt.ArrayLike,
    challenger_p: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: Sequence[str],
    origins: Sequence[str],
    settings: GateSettings,
    *,
    champion: str = "",
    challenger: str = "",
    first: FirstAnswers | None = None,
) -> GateDecision:
    """Compares two versions on the same held-out rows.

    Args:
        champion_p: probabilities [N] in [0, 1] of the version that serves.
        challenger_p: probabilities [N] in [0, 1] of the version that wants to, same rows, same order.
        y: labels [N], 1 roadwork, 0 none.
        groups: group of each row; rows of a group are not independent and get one vote together.
        origins: where each row comes from.
        settings: alpha, margin and the size below which origins are pooled.
        champion: name of the champion; a promotion checks that it still serves.
        challenger: name of the challenger; a promotion of any other version is refused.
        first: answers of the first version of today's make; None holds no second guard.

    Returns:
        A decision. Data that cannot be judged never raise: the champion is kept, with the reason.
    """
    p0, p1, labels = (_floats(a) for a in (champion_p, challenger_p, y))
    rules = protocol(settings)
    fault = _fault(p0, p1, labels, groups, origins) or _first_fault(first, p0.size)
    if fault:
        reasons: tuple[str, ...] = (f"Champion kept: {fault}.",)
        return GateDecision(False, reasons, {"fault": fault}, rules, protocol_sha256(rules), champion, challenger)
    truth = labels == 1
    rows = _Rows((p0 > 0.5) == truth, (p1 > 0.5) == truth, number_groups(groups), np.asarray(origins, dtype=str))
    overall, passed, words = _overall(rows, mcc(p0, truth), mcc(p1, truth), settings.alpha)
    by_origin = _origins(rows, settings)
    eroded = _erosion(rows, first, truth, settings)
    promote = passed and all(result.passed for result in by_origin) and (eroded is None or eroded.passed)
    verdict = "Challenger promoted: every part passed." if promote else "Champion kept: not every part passed."
    numbers = {
        **overall,
        "origins": [asdict(result) for result in by_origin],
        "erosion": eroded.to_dict() if eroded is not None else None,
        "data_sha256": _data_sha256(labels, groups, origins),
    }
    reasons = (verdict, *words, *(result.reason for result in by_origin), *([eroded.reason] if eroded else []))
    return GateDecision(promote, reasons, numbers, rules, protocol_sha256(rules), champion, challenger)


def _erosion(rows: _Rows, first: FirstAnswers | None, truth: Bools, settings: GateSettings) -> Erosion | None:
    if first is None:
        return None
    shown = np.asarray(first.photographs, dtype=bool)
    right = (_floats(first.p) > 0.5) == truth
    return measure_erosion(first.version, right[shown], rows.challenger[shown], rows.groups[shown], settings)


def _overall(
    rows: _Rows, champion_mcc: float, challenger_mcc: float, alpha: float
) -> tuple[dict[str, Any], bool, tuple[str, ...]]:
    votes = group_votes(rows.champion, rows.challenger, rows.groups)
    p_value = mcnemar_p(votes.better, votes.worse)
    scores = {
        name: {"accuracy": float(right.mean()), "mcc": correlation, "errors": int((~right).sum())}
        for name, right, correlation in (
            ("champion", rows.champion, champion_mcc),
            ("challenger", rows.challenger, challenger_mcc),
        )
    }
    superior = p_value <= alpha
    guarded = all(scores["challenger"][k] >= scores["champion"][k] for k in ("accuracy", "mcc"))
    numbers = {
        "rows": int(rows.champion.size),
        "superiority": {**asdict(votes), "groups": votes.groups, "p_value": p_value, "passed": superior},
        "overall_guard": {**scores, "passed": guarded},
    }
    sign = "<=" if superior else ">"
    words = (
        f"Superiority overall {_verb(superior)}: better in {votes.better}, worse in {votes.worse}, equal in "
        f"{votes.equal} of {votes.groups} groups; exact one-sided McNemar p = {p_value:.4g} {sign} {alpha:g}.",
        f"Overall guard {_verb(guarded)}: accuracy {scores['champion']['accuracy']:.4f} -> "
        f"{scores['challenger']['accuracy']:.4f}, MCC {scores['champion']['mcc']:.4f} -> "
        f"{scores['challenger']['mcc']:.4f} over {rows.champion.size} rows.",
    )
    return numbers, superior and guarded, words


def _origins(rows: _Rows, settings: GateSettings) -> list[OriginResult]:
    results: list[OriginResult] = []
    small: list[str] = []
    for origin in np.unique(rows.origins).tolist():
        mask = rows.origins == origin
        if np.unique(rows.groups[mask]).size < settings.min_origin_size:
            small.append(origin)
            results.append(_origin_guard(origin, mask, rows, settings))
        else:
            results.append(_origin(origin, mask, rows, settings))
    if len(small) > 1:
        results.append(_origin(f"{SMALL_ORIGINS} ({', '.join(small)})", np.isin(rows.origins, small), rows, settings))
    return results


def _origin(origin: str, mask: Bools, rows: _Rows, settings: GateSettings) -> OriginResult:
    """Tests an origin if its number of groups, not its outcome, can carry a test; else guards it."""
    n_groups = int(np.unique(rows.groups[mask]).size)
    if pass_probability(n_groups, settings.alpha, settings.margin, CARRY_DISCORDANCE) < CARRY_POWER:
        return _origin_guard(origin, mask, rows, settings)
    votes = group_votes(rows.champion[mask], rows.challenger[mask], rows.groups[mask])
    bound = float(loss_bound(votes.better, votes.worse, n_groups, settings.alpha))
    passed = bound <= settings.margin
    reason = (
        f"Origin {origin}: non-inferiority test {_verb(passed)}: worse in {votes.worse}, better in {votes.better} of "
        f"{n_groups} groups; loss at most {bound:.4f} with {1 - settings.alpha:.0%} confidence, "
        f"margin {settings.margin:g}."
    )
    extra = _extra_errors(rows, mask)
    return OriginResult(
        origin, "test", int(mask.sum()), n_groups, votes.better, votes.worse, extra, passed, bound, reason
    )


def _origin_guard(origin: str, mask: Bools, rows: _Rows, settings: GateSettings) -> OriginResult:
    n_rows, n_groups = int(mask.sum()), int(np.unique(rows.groups[mask]).size)
    votes = group_votes(rows.champion[mask], rows.challenger[mask], rows.groups[mask])
    extra = _extra_errors(rows, mask)
    allowed = max(GUARD_FREE_ERRORS, int(np.floor(settings.margin * n_rows + 1e-9)))
    passed = extra <= allowed
    reason = (
        f"Origin {origin}: guard, not a test ({n_groups} group{'s' * (n_groups != 1)}, {n_rows} rows cannot carry "
        f"one), {_verb(passed)}: {extra:+d} errors against the champion, at most {allowed:+d} allowed."
    )
    return OriginResult(origin, "guard", n_rows, n_groups, votes.better, votes.worse, extra, passed, None, reason)


def _extra_errors(rows: _Rows, mask: Bools) -> int:
    return int(rows.champion[mask].sum()) - int(rows.challenger[mask].sum())


def _floats(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        return np.full(1, np.nan)


def _fault(
    p0: npt.NDArray[np.float64],
    p1: npt.NDArray[np.float64],
    labels: npt.NDArray[np.float64],
    groups: Sequence[str],
    origins: Sequence[str],
) -> str:
    """Why these data cannot be judged; empty if they can."""
    sizes = {
        "champion answers": p0.size,
        "challenger answers": p1.size,
        "labels": labels.size,
        "groups": len(groups),
        "origins": len(origins),
    }
    if len(set(sizes.values())) != 1:
        return f"rows are missing ({', '.join(f'{n} {name}' for name, n in sizes.items())})"
    if p0.size == 0:
        return "there are no rows to judge on"
    for name, p in (("champion", p0), ("challenger", p1)):
        bad = int((~((p >= 0) & (p <= 1))).sum())
        if bad:
            return f"{bad} of {p.size} {name} answers are NaN or outside [0, 1]"
    if not np.isin(labels, (0, 1)).all():
        return "labels other than 0 and 1"
    if np.unique(labels).size < 2:
        return f"all {labels.size} rows have the label {labels[0]:.0f}, one class alone says nothing"
    return ""


def _first_fault(first: FirstAnswers | None, n_rows: int) -> str:
    """Why the first version's answers cannot be compared with; empty if they can, or there are none."""
    if first is None:
        return ""
    p = _floats(first.p)
    if p.size != n_rows or len(first.photographs) != n_rows:
        return f"rows are missing ({p.size} answers of the first version to {n_rows} rows)"
    bad = int((~((p >= 0) & (p <= 1))).sum())
    return f"{bad} of {p.size} answers of the first version are NaN or outside [0, 1]" if bad else ""


def _data_sha256(labels: npt.NDArray[np.float64], groups: Sequence[str], origins: Sequence[str]) -> str:
    lines = (f"{int(t)}\t{g}\t{o}" for t, g, o in zip(labels, groups, origins, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _verb(passed: bool) -> str:
    return "passed" if passed else "failed"
