"""Exit bands with a guarantee: error among exits <= alpha with probability >= 1 - delta.

How it is certified (Learn-then-Test, arXiv 2110.01052, with exact binomial p-values):

* The candidate thresholds are a grid in logits that is fixed beforehand; no row moves it. The scores must come from a
  model that has not been fitted on these rows, and must not have been calibrated on them.
* One row per group is drawn, so that the rows tested are independent.
* Each side is tested on its own with half of delta (Bonferroni). Its thresholds are tested from the extreme inwards
  and the first failure ends it (fixed-sequence testing), so that the search costs nothing. Up to three such sequences
  share the side's delta (Bonferroni again).
* A sequence starts once enough rows lie beyond the threshold; that depends on how many rows there are, never on their
  labels. With a score that ranks (beyond the first threshold whose true error exceeds alpha, further rows are no
  better), this keeps the guarantee exact; the tests simulate it.

What the guarantee is about: frames drawn as the rows of this call were, one per group. Another camera is another
population; `origins` guards against a band that its own rows already contradict on some origin.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, Mask, sigmoid
from streetvision_core.errors import CalibrationError
from streetvision_core.scoring.intervals import allowed_errors

SIDES: Final = 2
LOGIT_GRID: Final = tuple(float(v) for v in np.linspace(12.0, 0.25, 48))
"""Distance of each threshold from probability 0.5, in logits, from the extreme inwards."""
NEVER_LOW: Final = 0.0
NEVER_HIGH: Final = 1.0
_TOLERATED: Final = (0, 3, 10)
_VETO_LEVEL: Final = 0.05


@dataclass(frozen=True, slots=True)
class ExitBand:
    """Where a stage may end the cascade: score < low answers none, score > high answers road work.

    Attributes:
        low: exits below it; 0 if that side is not certified (no score lies below 0).
        high: exits above it; 1 if that side is not certified.
        certified: whether at least one side is.
        reason: what was found on each side, with numbers.
        n_exits: tested rows (one per group) that would exit.
        n_errors: how many of them would be wrong.
        coverage: n_exits over all tested rows.
        alpha: the largest error among exits that is certified.
        delta: the chance that the certificate is wrong, both sides together.
    """

    low: float
    high: float
    certified: bool
    reason: str
    n_exits: int
    n_errors: int
    coverage: float
    alpha: float
    delta: float

    def exits_low(self, scores: npt.ArrayLike) -> Mask:
        """Which scores end as none."""
        return np.asarray(np.asarray(scores) < self.low, np.bool_)

    def exits_high(self, scores: npt.ArrayLike) -> Mask:
        """Which scores end as road work."""
        return np.asarray(np.asarray(scores) > self.high, np.bool_)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExitBand:
        """The inverse of `to_dict`."""
        return cls(**data)

    @classmethod
    def never(cls, reason: str, alpha: float, delta: float) -> ExitBand:
        """A band that nothing exits by."""
        return cls(NEVER_LOW, NEVER_HIGH, False, reason, 0, 0, 0.0, alpha, delta)


def certify_band(
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: Sequence[str],
    alpha: float,
    delta: float,
    *,
    seed: int = 0,
    origins: Sequence[str] | None = None,
) -> ExitBand:
    """Finds the widest band that can be certified.

    Args:
        p: scores in [0, 1], [N], from a model that was not fitted or calibrated on these rows.
        y: labels 0 or 1, [N].
        groups: the group of each row; one row of each is used.
        alpha: largest error among exits, for each side.
        delta: chance of a wrong certificate, both sides together.
        seed: of the draw within groups.
        origins: if given, a threshold is also refused when some origin's rows contradict it (one-sided exact test at
            5 %); that only narrows the band, so the guarantee stands.

    Returns:
        The band; a side that cannot be certified never exits, and `reason` says why.

    Raises:
        CalibrationError: scores outside [0, 1] or NaN, or lengths that differ.
    """
    scores, labels = np.asarray(p, np.float64), np.asarray(y).astype(np.int64)
    _check(scores, labels, groups)
    rows = one_row_per_group(groups, seed)
    scores, labels = scores[rows], labels[rows]
    where = np.array(["all"] * len(rows) if origins is None else [origins[i] for i in rows])
    low = _certify_side(scores, labels, where, alpha, delta / SIDES, "low", origins is not None)
    high = _certify_side(1.0 - scores, 1 - labels, where, alpha, delta / SIDES, "high", origins is not None)
    n_exits, n_errors = low.n_exits + high.n_exits, low.n_errors + high.n_errors
    return ExitBand(
        low=NEVER_LOW if low.margin is None else _edge(-low.margin),
        high=NEVER_HIGH if high.margin is None else _edge(high.margin),
        certified=low.margin is not None or high.margin is not None,
        reason=f"{low.reason}; {high.reason}",
        n_exits=n_exits,
        n_errors=n_errors,
        coverage=n_exits / len(rows) if len(rows) else 0.0,
        alpha=alpha,
        delta=delta,
    )


def one_row_per_group(groups: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """One row of each group, drawn at random; row numbers [G] in the order of first appearance."""
    order = np.random.default_rng(seed).permutation(len(groups))
    _, first = np.unique(np.array(groups, dtype=str)[order], return_index=True)
    return np.sort(order[first]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Side:
    margin: float | None
    n_exits: int
    n_errors: int
    reason: str


def _certify_side(
    scores: Array, errors: Labels, origins: npt.NDArray[np.str_], alpha: float, delta: float, name: str, guarded: bool
) -> _Side:
    """Tests exits at small scores, where a row of `errors` 1 is a wrong exit."""
    edges = sigmoid(-np.array(LOGIT_GRID))
    exits = scores[:, None] < edges
    counts, wrong = exits.sum(axis=0), (exits & (errors == 1)[:, None]).sum(axis=0)
    starts, level = _starts(counts, alpha, delta)
    if not starts:
        most = int(counts[-1]) if len(counts) else 0
        needed = _rows_needed(0, alpha, delta)
        return _Side(None, 0, 0, f"{name}: not certified, {most} of {needed} independent rows needed on this side")
    passed = sorted({j for start in starts for j in _fixed_sequence(counts, wrong, start, alpha, level)})
    if not passed:
        tried = (
            f"{wrong[j]} errors among {counts[j]} rows ({_allowed(int(counts[j]), alpha, level)} allowed)"
            for j in starts
        )
        return _Side(None, 0, 0, f"{name}: not certified, {', '.join(tried)}")
    kept = [j for j in passed if not guarded or not _contradicted(exits[:, j], errors, origins, alpha)]
    if not kept:
        origin = _contradicted(exits[:, passed[0]], errors, origins, alpha)
        return _Side(None, 0, 0, f"{name}: not certified, contradicted by {origin}")
    j = kept[-1]
    said = f"{wrong[j]} errors among {counts[j]} rows at score margin {LOGIT_GRID[j]:.2f}"
    return _Side(LOGIT_GRID[j], int(counts[j]), int(wrong[j]), f"{name}: certified, {said}")


def _edge(margin: float) -> float:
    return float(sigmoid(np.array([margin]))[0])


def _starts(counts: npt.NDArray[np.int64], alpha: float, delta: float) -> tuple[list[int], float]:
    """Where the sequences start, by row counts alone, and the level each is tested at.

    A side with many rows starts several sequences that share delta, the later ones where some errors are tolerated:
    one wrong label among the surest rows must not close it. A side with few rows has one, where none is.
    """
    for sequences in range(len(_TOLERATED), 0, -1):
        level = delta / sequences
        needed = [_rows_needed(tolerated, alpha, level) for tolerated in _TOLERATED[:sequences]]
        if len(counts) and counts[-1] >= needed[-1]:
            return sorted({int(np.argmax(counts >= n)) for n in needed}), level
    return [], delta


def _fixed_sequence(
    counts: npt.NDArray[np.int64], wrong: npt.NDArray[np.int64], start: int, alpha: float, delta: float
) -> list[int]:
    passed = []
    for j in range(start, len(counts)):
        if wrong[j] > _allowed(int(counts[j]), alpha, delta):
            break
        passed.append(j)
    return passed


def _contradicted(exits: Mask, errors: Labels, origins: npt.NDArray[np.str_], alpha: float) -> str:
    """The first origin whose own exits prove an error above alpha, in words; empty if none does."""
    from scipy.stats import binom

    for origin in np.unique(origins[exits]):
        here = exits & (origins == origin)
        n, wrong = int(here.sum()), int(errors[here].sum())
        if wrong and float(binom.sf(wrong - 1, n, alpha)) < _VETO_LEVEL:
            return f"{origin}: {wrong} errors among {n} rows"
    return ""


@functools.lru_cache(maxsize=65536)
def _allowed(n: int, alpha: float, delta: float) -> int:
    return allowed_errors(n, alpha, 1.0 - delta) if n else -1


@functools.lru_cache(maxsize=256)
def _rows_needed(tolerated: int, alpha: float, delta: float) -> int:
    n = 1
    while _allowed(n, alpha, delta) < tolerated:
        n += 1
    return n


def _check(scores: Array, labels: Labels, groups: Sequence[str]) -> None:
    if scores.shape != labels.shape or len(groups) != len(labels) or not ((scores >= 0) & (scores <= 1)).all():
        raise CalibrationError(
            got=f"scores {scores.shape}, labels {labels.shape}, {len(groups)} groups",
            allowed="one score in [0, 1], one label and one group per row, no NaN",
            action="leave out rows where the stage did not run",
        )
