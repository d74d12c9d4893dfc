"""One probability from several sources that each know a little: weighted by how right they were on labelled frames.

A source says a number in [0, 1] for a frame, or nothing. What it says falls into one of a few bins; for each bin the
labelled frames tell how much likelier it is under road work than under none (Dawid and Skene, Maximum Likelihood
Estimation of Observer Error-Rates, 1979, with bins for answers). Counts are shrunk towards "tells nothing", so a source
with few labelled frames weighs little. Frames without a label may refine the counts by expectation maximisation.

Sources are taken to err independently given the label. Those that copy each other count twice, so a posterior is only
ever acted on behind a certified threshold (`accept`).

Example:
    >>> said = np.array([[0.9, 0.8], [0.1, 0.7], [0.8, 0.9], [0.2, 0.1]] * 20)
    >>> model = LabelModel.fit(said, np.array([1, 0, 1, 0] * 20, np.int8), ("good", "poor"))
    >>> model.posterior(np.array([[0.9, np.nan], [0.1, 0.9]])).round(1).tolist()
    [1.0, 0.0]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError
from streetvision_core.scoring.intervals import clopper_pearson

Doubles = npt.NDArray[np.float64]
EDGES: Final = (0.05, 0.3, 0.5, 0.7, 0.95)
"""What a source says falls into one of six bins."""
SHRINKAGE: Final = 4.0
"""Pretended frames per source, spread as if its answers told nothing."""
_ROUNDS: Final = 50
_NOTHING: Final = -1


@dataclass(frozen=True, slots=True)
class SourceQuality:
    """How a source did on labelled frames.

    Attributes:
        name: the source.
        answered: labelled frames it said something about.
        accuracy: share on the right side of 0.5; None without any.
        low: lower end of the exact 95 % interval.
        high: upper end.
        strongest: largest absolute log-likelihood ratio of one of its answers: the most it can move the posterior.
    """

    name: str
    answered: int
    accuracy: float | None
    low: float | None
    high: float | None
    strongest: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class LabelModel:
    """Log-likelihood ratios of answers.

    Attributes:
        sources: S names.
        ratios: float64 [S, B], log P(answer in bin | road work) - log P(answer in bin | none).
        prior: log-odds of road work before any answer.
        qualities: per source, in order.
    """

    sources: tuple[str, ...]
    ratios: Doubles
    prior: float
    qualities: tuple[SourceQuality, ...]

    @classmethod
    def fit(
        cls,
        said: Doubles,
        labels: npt.NDArray[np.int8],
        sources: Sequence[str],
        *,
        unlabelled_weight: float = 0.0,
        shrinkage: float = SHRINKAGE,
    ) -> LabelModel:
        """Learns how much each answer is worth.

        Args:
            said: float64 [N, S] in [0, 1], NaN where a source said nothing.
            labels: int8 [N], 1 road work, 0 none, -1 unknown.
            sources: S names.
            unlabelled_weight: how much a frame of unknown label counts; 0 takes measured accuracy only. Without any
                label, expectation maximisation starts from the mean answer.
            shrinkage: pretended frames per source.

        Raises:
            DataError: shapes differ, a value lies outside [0, 1], or no frame can teach.
        """
        _check(said, labels, sources)
        known = labels >= 0
        if not known.any() and unlabelled_weight <= 0:
            raise DataError("no labelled frame", "some, or an unlabelled_weight above 0", "review some frames first")
        bins = _bins(said)
        weight = np.where(known, 1.0, unlabelled_weight)
        belief = np.where(known, labels == 1, _start(said)).astype(np.float64)
        ratios, prior = _count(bins, belief, weight, shrinkage)
        for _ in range(_ROUNDS if unlabelled_weight > 0 and not known.all() else 0):
            updated = np.where(known, belief, _sigmoid(_log_odds(bins, ratios, prior)))
            done = float(np.abs(updated - belief).max()) < 1e-6
            belief = updated
            ratios, prior = _count(bins, belief, weight, shrinkage)
            if done:
                break
        qualities = tuple(_quality(name, said[known, s], labels[known], ratios[s]) for s, name in enumerate(sources))
        return cls(tuple(sources), ratios, prior, qualities)

    def posterior(self, said: Doubles) -> Doubles:
        """P(road work) of frames, float64 [N], from float64 [N, S] in the order of `sources`."""
        _check(said, np.zeros(len(said), np.int8), self.sources)
        return _sigmoid(_log_odds(_bins(said), self.ratios, self.prior))


def as_matrix(said: Sequence[Mapping[str, float]], sources: Sequence[str]) -> Doubles:
    """float64 [N, S] from what was said by name; NaN where a source is silent."""
    return np.array([[one.get(name, np.nan) for name in sources] for one in said], np.float64).reshape(-1, len(sources))


def _start(said: Doubles) -> Doubles:
    """The mean answer; a half where all are silent."""
    total, count = np.nansum(said, axis=1), (~np.isnan(said)).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


def _bins(said: Doubles) -> npt.NDArray[np.int64]:
    return np.where(np.isnan(said), _NOTHING, np.searchsorted(EDGES, said, side="right"))


def _count(bins: npt.NDArray[np.int64], belief: Doubles, weight: Doubles, shrinkage: float) -> tuple[Doubles, float]:
    """Log-likelihood ratios [S, B] and the prior's log-odds."""
    n_bins = len(EDGES) + 1
    ratios = np.zeros((bins.shape[1], n_bins))
    for s in range(bins.shape[1]):
        here = bins[:, s] != _NOTHING
        yes = np.bincount(bins[here, s], (weight * belief)[here], n_bins)
        no = np.bincount(bins[here, s], (weight * (1 - belief))[here], n_bins)
        # The pretended frames have the source's own mix of answers under both labels: they tell nothing.
        total = (yes + no).sum()
        mix = (yes + no + 0.5) / (total + 0.5 * n_bins)
        pretended = shrinkage / max(total, 1e-9)
        likely = [(count / count.sum() if count.sum() > 0 else mix) + pretended * mix for count in (yes, no)]
        ratios[s] = np.log(likely[0]) - np.log(likely[1])
    share = ((weight * belief).sum() + 1.0) / (weight.sum() + 2.0)
    return ratios, float(np.log(share / (1.0 - share)))


def _log_odds(bins: npt.NDArray[np.int64], ratios: Doubles, prior: float) -> Doubles:
    total = np.full(len(bins), prior)
    for s, row in enumerate(ratios):
        here = bins[:, s] != _NOTHING
        total[here] += row[bins[here, s]]
    return total


def _quality(name: str, said: Doubles, labels: npt.NDArray[np.int8], ratios: Doubles) -> SourceQuality:
    here = ~np.isnan(said)
    n, strongest = int(here.sum()), round(float(np.abs(ratios).max()), 3)
    if not n:
        return SourceQuality(name, 0, None, None, None, strongest)
    right = int(((said[here] > 0.5) == (labels[here] == 1)).sum())
    low, high = clopper_pearson(right, n)
    return SourceQuality(name, n, round(right / n, 4), round(low, 4), round(high, 4), strongest)


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60, 60))), np.float64)


def _check(said: Doubles, labels: npt.NDArray[np.int8], sources: Sequence[str]) -> None:
    values = said[~np.isnan(said)]
    if said.ndim != 2 or said.shape != (len(labels), len(sources)) or not ((values >= 0) & (values <= 1)).all():
        raise DataError(
            got=f"answers {said.shape} for {len(labels)} labels and {len(sources)} sources, or a value outside [0, 1]",
            allowed="one row per frame, one column per source, numbers in [0, 1] or NaN",
            action="mend the source that says something else",
        )
