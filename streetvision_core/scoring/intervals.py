"""How sure a number is: exact binomial bounds and the bootstrap over groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError
from streetvision_core.scoring._arrays import Doubles, same_shape
from streetvision_core.scoring.confusion import Confusion


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate between its confidence bounds; NaN where a metric is not defined."""

    low: float
    point: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """A JSON-ready form."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.point:.3f} [{self.low:.3f}, {self.high:.3f}]"


def clopper_pearson(errors: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a binomial rate.

    Args:
        errors: events seen.
        n: trials, at least 1.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        Lower and upper bound in [0, 1].

    Raises:
        DataError: impossible counts or confidence.

    Example:
        >>> low, high = clopper_pearson(0, 10)
        >>> low, round(high, 4)
        (0.0, 0.3085)
    """
    tail = (1 - confidence) / 2
    return 1 - clopper_pearson_upper(n - errors, n, 1 - tail), clopper_pearson_upper(errors, n, 1 - tail)


def clopper_pearson_upper(errors: int, n: int, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound: the true rate lies above it with probability at most 1 - confidence.

    Example:
        >>> round(clopper_pearson_upper(0, 299), 4)
        0.01
    """
    from scipy.special import betaincinv

    if not (n >= 1 and 0 <= errors <= n and 0 < confidence < 1):
        raise DataError(
            got=f"{errors} errors among {n} at confidence {confidence}",
            allowed="0 <= errors <= n, n >= 1, confidence in (0, 1)",
            action="count the rows first; no rows carry no evidence",
        )
    return 1.0 if errors == n else float(betaincinv(errors + 1, n - errors, confidence))


def allowed_errors(n: int, rate: float, confidence: float = 0.95) -> int:
    """The most errors among n that still prove a rate of at most `rate` for ONE fixed threshold; -1 if n is too small.

    Example:
        >>> [allowed_errors(n, 0.01) for n in (298, 299, 500, 1000, 2000)]
        [-1, 0, 1, 4, 12]
    """
    low, high = -1, n
    while low < high:
        middle = (low + high + 1) // 2
        if clopper_pearson_upper(middle, n, confidence) <= rate:
            low = middle
        else:
            high = middle - 1
    return low


def resample_groups(groups: Sequence[str] | npt.ArrayLike, n: int, seed: int) -> tuple[npt.NDArray[np.intp], Doubles]:
    """Draws n bootstrap samples of whole groups.

    Returns:
        The group number of each row [N], and how often each group was drawn in each sample [n, G].
    """
    names, rows = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=n)
    return rows.reshape(-1), drawn.astype(np.float64)


def bootstrap(
    fn: Callable[[Doubles, npt.NDArray[np.int64]], float],
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: Sequence[str] | npt.ArrayLike,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The percentile interval of any metric, resampling groups because frames of a group are not independent.

    Args:
        fn: takes probabilities [M] and labels [M], returns a number, NaN where undefined.
        p: probabilities, [N].
        y: labels 0 or 1, [N].
        groups: the group of each row, [N].
        n: resamples.
        seed: of the resampling.
        level: coverage of the interval.
    """
    probabilities, flags = same_shape(p, y)
    labels = flags.astype(np.int64)
    rows, drawn = resample_groups(groups, n, seed)
    _check_groups(rows, probabilities)
    everyone = np.arange(len(rows))
    values = np.empty(n)
    for i, times in enumerate(drawn.astype(np.int64)):
        chosen = np.repeat(everyone, times[rows])
        values[i] = fn(probabilities[chosen], labels[chosen])
    return _interval(values, fn(probabilities, labels), level)


def bootstrap_decisions(
    fn: Callable[[Confusion], Doubles],
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    groups: Sequence[str] | npt.ArrayLike,
    n: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """`bootstrap` for anything that follows from counts of decisions at 0.5: all resamples at once.

    Args:
        fn: takes a `Confusion` of shape [n] or [], e.g. `Confusion.mcc`.
        p: probabilities, [N].
        y: labels 0 or 1, [N].
        groups: the group of each row, [N].
        n: resamples.
        seed: equal seeds draw the resamples of `bootstrap`.
        level: coverage of the interval.
    """
    probabilities, labels = same_shape(p, y)
    rows, drawn = resample_groups(groups, n, seed)
    _check_groups(rows, probabilities)
    called = probabilities > 0.5
    cells = [called & labels, called & ~labels, ~called & labels, ~called & ~labels]
    per_group = np.stack([np.bincount(rows, cell, drawn.shape[1]) for cell in cells])
    values = fn(Confusion(*(drawn @ per_group.T).T))
    return _interval(np.asarray(values), float(fn(Confusion.count(called, labels))), level)


def _interval(values: Doubles, point: float, level: float) -> Interval:
    defined = values[np.isfinite(values)]
    if defined.size == 0:
        return Interval(float("nan"), float(point), float("nan"))
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(point), float(high))


def _check_groups(rows: npt.NDArray[np.intp], probabilities: Doubles) -> None:
    if rows.shape != probabilities.shape or rows.size == 0:
        raise DataError(
            got=f"{rows.size} groups for {probabilities.size} predictions",
            allowed="one group per row, at least one row",
            action="pass the group of each frame; a frame alone is its own group",
        )
