"""Calibrators: from a score (logit) to a probability, behind one registry.

Example:
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> choice = best_calibrator(6.0 * (y - 0.5) + 4.0 * rng.normal(size=400), y)
    >>> p = choice.calibrator.predict(np.array([-3.0, 0.0, 3.0]))
    >>> bool((np.diff(p) > 0).all() and 0 < p[0] and p[2] < 1)
    True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import (
    Array,
    Labels,
    checked_scores,
    checked_weights,
    log_loss,
    row_groups,
    row_log_losses,
)
from streetvision_core.calibration.parametric import Beta, Platt, Temperature
from streetvision_core.calibration.vennabers import VennAbers
from streetvision_core.errors import CalibrationError
from streetvision_core.training.folds import group_folds

FOLDS: Final = 5
_TIE: Final = 1e-3


class Calibrator(Protocol):
    """A monotone map from scores to probabilities."""

    @property
    def method(self) -> str:
        """Its name in the registry."""

    def predict(self, scores: npt.ArrayLike) -> Array:
        """Probabilities in (0, 1) of scores [N]."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form with the key `method`."""


class CalibratorType(Protocol):
    """What the registry holds."""

    least_per_class: int

    def fit(self, scores: Array, y: Labels, weights: Array) -> Calibrator:
        """Fits on scores [N], labels [N] and weights [N]."""

    def from_dict(self, data: Mapping[str, Any]) -> Calibrator:
        """The inverse of `to_dict`."""


METHODS: Final[Mapping[str, CalibratorType]] = MappingProxyType(
    {"temperature": Temperature, "platt": Platt, "beta": Beta, "venn-abers": VennAbers}
)
"""Simplest first: a tie goes to the earlier one."""

STAIRS: Final = frozenset({"venn-abers"})
"""Methods whose probability jumps from step to step. A step near the threshold turns many answers over at once, so one
of them must beat the best smooth method by more than a standard error."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibratorChoice:
    """The best calibrator and how the choice was made.

    Attributes:
        calibrator: fitted on all rows.
        log_losses: cross-fitted log-loss of each method that had enough rows; empty if none could be compared.
        out_of_fold: probability of each row from a calibrator of the chosen method that has not seen its group;
            where no cross-fitting was possible, in-sample.
        cross_fitted: whether `out_of_fold` is what it says.
        reason: why this one, with numbers.
    """

    calibrator: Calibrator
    log_losses: dict[str, float]
    out_of_fold: Array
    cross_fitted: bool
    reason: str
    n: int = field(default=0)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready summary; the calibrator's own `to_dict` restores it."""
        losses = {name: round(loss, 5) for name, loss in self.log_losses.items()}
        return {"method": self.calibrator.method, "log_losses": losses, "reason": self.reason, "n": self.n}


def fit_calibrator(
    scores: npt.ArrayLike, y: npt.ArrayLike, method: str, weights: npt.ArrayLike | None = None
) -> Calibrator:
    """Fits one calibrator.

    Args:
        scores: logits, [N] or [N, 1].
        y: labels 0 or 1, [N].
        method: a key of `METHODS`.
        weights: row weights, [N]; Venn-Abers counts every row once.

    Raises:
        CalibrationError: unknown method, one class, constant scores, or fewer rows per class than the method needs.
    """
    x, labels = checked_scores(scores, y)
    if method not in METHODS:
        raise CalibrationError(f"method {method!r}", ", ".join(METHODS), "choose one of them", method=method)
    least = METHODS[method].least_per_class
    rarer = int(min(labels.sum(), len(labels) - labels.sum()))
    if rarer < least:
        raise CalibrationError(
            got=f"{rarer} rows of the rarer class",
            allowed=f"at least {least} for {method}",
            action="use a simpler method, or put more labelled frames into CALIBRATE",
            rarer=rarer,
            least=least,
        )
    return METHODS[method].fit(x, labels, checked_weights(weights, len(x)))


def calibrator_from_dict(data: Mapping[str, Any]) -> Calibrator:
    """Restores any calibrator from its `to_dict`.

    Raises:
        CalibrationError: an unknown method.
    """
    method = data.get("method")
    if method not in METHODS:
        raise CalibrationError(f"method {method!r}", ", ".join(METHODS), "fit the calibrator again")
    return METHODS[str(method)].from_dict(data)


def best_calibrator(
    scores: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    weights: npt.ArrayLike | None = None,
    methods: Sequence[str] = tuple(METHODS),
    seed: int = 0,
) -> CalibratorChoice:
    """Fits every method and keeps the one with the smallest log-loss on groups it has not seen.

    With too few groups of a class for two folds nothing can be compared: then the simplest method is fitted, and
    `cross_fitted` is False.

    Args:
        scores: logits, [N] or [N, 1], not fitted on these rows.
        y: labels 0 or 1, [N].
        groups: the group of each row; each row its own if left out.
        weights: row weights, [N].
        methods: the keys of `METHODS` to compare.
        seed: of the folds.

    Raises:
        CalibrationError: one class, constant scores, or too few rows even for the simplest method.
    """
    x, labels = checked_scores(scores, y)
    row_weights, names = checked_weights(weights, len(x)), np.array(row_groups(groups, len(x)))
    folds = min(FOLDS, *(len(np.unique(names[labels == c])) for c in (0, 1)))
    if folds < 2:
        simplest = fit_calibrator(x, labels, methods[0], row_weights)
        reason = f"{methods[0]}: too few groups of one class to compare methods"
        return CalibratorChoice(simplest, {}, simplest.predict(x), False, reason, len(x))
    fold = group_folds(names.tolist(), labels, folds, seed)
    honest = {name: p for name in methods if (p := _cross_fit(x, labels, row_weights, fold, name)) is not None}
    if not honest:
        simplest = fit_calibrator(x, labels, methods[0], row_weights)
        reason = f"{methods[0]}: some fold of {folds} left one class out"
        return CalibratorChoice(simplest, {}, simplest.predict(x), False, reason, len(x))
    losses = {name: log_loss(p, labels, row_weights) for name, p in honest.items()}
    best = _best(losses, methods)
    smooth = _best({name: loss for name, loss in losses.items() if name not in STAIRS}, methods) or best
    if best in STAIRS and not _clearly_better(honest[best], honest[smooth], labels, row_weights, names):
        best = smooth
    reason = f"{best}: log-loss {losses[best]:.4f}, cross-fitted over {folds} group folds of {len(x)} rows"
    return CalibratorChoice(fit_calibrator(x, labels, best, row_weights), losses, honest[best], True, reason, len(x))


def _best(losses: Mapping[str, float], methods: Sequence[str]) -> str:
    """The first method within a tie of the smallest loss; empty where there is no loss."""
    least = min(losses.values(), default=0.0)
    return next((name for name in methods if losses.get(name, np.inf) <= least + _TIE), "")


def _clearly_better(p: Array, other: Array, y: Labels, weights: Array, groups: npt.NDArray[np.str_]) -> bool:
    """Whether p's log-loss is smaller by more than one standard error of the difference over groups."""
    share = weights / weights.sum()
    gain = share * (row_log_losses(other, y) - row_log_losses(p, y))
    _, inverse = np.unique(groups, return_inverse=True)
    by_group = np.bincount(inverse, gain)
    return bool(by_group.sum() > np.sqrt(len(by_group)) * by_group.std())


def _cross_fit(x: Array, y: Labels, weights: Array, fold: npt.NDArray[np.int64], method: str) -> Array | None:
    """Out-of-fold probabilities, or None where some fold leaves too little to fit on."""
    out = np.empty(len(x))
    for f in np.unique(fold):
        held = fold == f
        try:
            out[held] = fit_calibrator(x[~held], y[~held], method, weights[~held]).predict(x[held])
        except CalibrationError:
            return None
    return out
