"""How subnet 72's validators pay: (0.5 * MCC over 100 + 0.5 * accuracy over 10) cubed, then a moving average.

Sources in ykatyhoney/streetvision-subnet (which carries natixnetwork/streetvision-subnet): the reward in
natix/validator/scoring/reward.py @a368202, the windows in natix/base/miner_performance_tracker.py @f317f77, the
exponent in natix/validator/config.py @119daec, the moving average in natix/base/validator.py @05b830e.

Consequences that are easy to miss, all reproduced here:

* `np.round(p)`: only the side of 0.5 counts, and 0.5 itself is a 0.
* A row of -1 (no answer) earns 0 in its step and leaves the metrics, yet keeps its place in the window.
* An answer outside [0, 1] earns 0 in its step. If it is NaN or does not round to 0 or 1, scikit-learn refuses the whole
  window and every reward is 0 until it has left the last 100 rows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.scoring._arrays import Doubles, same_shape
from streetvision_core.scoring.confusion import Confusion, ratio

MCC_WINDOW: Final = 100
ACCURACY_WINDOW: Final = 10
EXPONENT: Final = 3.0
EMA_ALPHA: Final = 0.05
NO_ANSWER: Final = -1.0


def reward(mcc: npt.ArrayLike, accuracy: npt.ArrayLike) -> Doubles:
    """The reward of one step from the two window metrics; negative MCC counts as 0.

    Example:
        >>> [round(float(reward(m, a)), 2) for a, m in ((0.95, 0.90), (0.97, 0.94), (0.99, 0.98))]
        [0.79, 0.87, 0.96]
    """
    base = 0.5 * np.maximum(np.asarray(mcc, np.float64), 0.0) + 0.5 * np.asarray(accuracy, np.float64)
    return np.asarray(base**EXPONENT)


@dataclass(slots=True)
class SN72Tracker:
    """One miner as one validator sees it, step by step: the reference the vectorised functions are tested against.

    Example:
        >>> tracker = SN72Tracker()
        >>> [round(tracker.update(p, y), 3) for p, y in ((0.9, 1), (0.2, 0), (0.7, 0))]
        [0.125, 1.0, 0.198]
    """

    predictions: deque[float] = field(default_factory=lambda: deque(maxlen=MCC_WINDOW))
    labels: deque[int] = field(default_factory=lambda: deque(maxlen=MCC_WINDOW))
    score: float = 0.0
    """The moving average that becomes the weight."""

    def update(self, prediction: float, label: int) -> float:
        """Takes one answer and its label, returns the step's reward and moves the average."""
        self.predictions.append(float(prediction))
        self.labels.append(int(label))
        step = 0.0
        if prediction != NO_ANSWER and not (prediction < 0.0 or prediction > 1.0):
            step = float(reward(self.metrics(MCC_WINDOW)[0], self.metrics(ACCURACY_WINDOW)[1]))
        self.score = EMA_ALPHA * step + (1 - EMA_ALPHA) * self.score
        return step

    def metrics(self, window: int) -> tuple[float, float]:
        """MCC (at least 0) and accuracy over the last `window` rows; zeros where scikit-learn would refuse."""
        rows = list(zip(self.predictions, self.labels, strict=True))[-window:]
        answered = [(float(np.round(p)), label) for p, label in rows if p != NO_ANSWER]
        if not answered or any(decision not in (0.0, 1.0) for decision, _ in answered):
            return 0.0, 0.0
        decisions = np.array([decision for decision, _ in answered]) > 0
        labels = np.array([label for _, label in answered]) > 0
        table = Confusion.count(decisions, labels)
        return max(0.0, float(table.mcc())), float(table.accuracy())


def window_rewards(p: npt.ArrayLike, y: npt.ArrayLike) -> Doubles:
    """The reward of every step of any number of sequences at once.

    Args:
        p: predictions in order of time, [..., T]; -1 where no answer came.
        y: labels, [..., T].

    Returns:
        Rewards [..., T], equal to `SN72Tracker.update` step by step.
    """
    predictions, labels = same_shape(p, y)
    with np.errstate(invalid="ignore"):
        decisions = np.round(predictions)
        paid = (predictions != NO_ANSWER) & ~((predictions < 0.0) | (predictions > 1.0))
    answered = predictions != NO_ANSWER
    refused = answered & ~np.isin(decisions, (0.0, 1.0))
    called = decisions == 1.0
    masks = (called & labels, called & ~labels, ~called & labels, ~called & ~labels)
    cells = np.stack([mask & answered for mask in masks] + [refused])
    long, short = _trailing_sums(cells, MCC_WINDOW), _trailing_sums(cells, ACCURACY_WINDOW)
    mcc = np.where(long[4] > 0, 0.0, Confusion(*long[:4]).mcc())
    accuracy = np.where(short[4] > 0, 0.0, ratio(short[0] + short[3], short[:4].sum(axis=0), empty=0.0))
    return np.where(paid, reward(mcc, accuracy), 0.0)


def moving_average(rewards: npt.ArrayLike, start: float = 0.0) -> Doubles:
    """The validator's score after each step, [..., T]."""
    steps = np.asarray(rewards, np.float64)
    result = np.empty_like(steps)
    score = np.full(steps.shape[:-1], start)
    for t in range(steps.shape[-1]):
        score = EMA_ALPHA * steps[..., t] + (1 - EMA_ALPHA) * score
        result[..., t] = score
    return result


def _trailing_sums(cells: npt.NDArray[np.bool_], window: int) -> Doubles:
    totals = np.cumsum(cells, axis=-1, dtype=np.float64)
    totals[..., window:] -= totals[..., :-window].copy()
    return totals


@dataclass(frozen=True, slots=True)
class SN72Rule:
    """Subnet 72's rule as a plug-in; see `streetvision_core.scoring.rules.ScoringRule`."""

    name: str = "sn72"
    threshold: float = 0.5

    def score(self, p: npt.ArrayLike, y: npt.ArrayLike) -> float:
        """The reward if both windows held exactly this set, times the share of rows that are paid at all."""
        predictions, labels = same_shape(p, y)
        return float(self.score_many(predictions[None], labels[None])[0])

    def score_many(self, p: npt.ArrayLike, y: npt.ArrayLike) -> Doubles:
        """`score` of many sets at once.

        Args:
            p: predictions, [S, N].
            y: labels, [S, N].

        Returns:
            Scores, [S].
        """
        predictions, labels = same_shape(p, y)
        answered = predictions != NO_ANSWER
        decisions = np.round(predictions)
        refused = (answered & ~np.isin(decisions, (0.0, 1.0))).any(axis=-1)
        called = decisions == 1.0
        masks = (called & labels, called & ~labels, ~called & labels, ~called & ~labels)
        table = Confusion(*((mask & answered).sum(axis=-1, dtype=np.float64) for mask in masks))
        accuracy = ratio(table.tp + table.tn, table.total, empty=0.0)
        paid = ((predictions >= 0) & (predictions <= 1)).mean(axis=-1)
        return np.where(refused, 0.0, reward(table.mcc(), accuracy) * paid)

    def from_confusion(self, table: Confusion, brier: npt.ArrayLike = np.nan) -> Doubles:
        """The score that counts of decisions earn; the Brier score plays no part."""
        return reward(table.mcc(), ratio(table.tp + table.tn, table.total, empty=0.0))

    def expected(
        self, p: npt.ArrayLike, y: npt.ArrayLike, *, streams: int = 200, steps: int = 400, seed: int = 0
    ) -> float:
        """The mean reward a validator would pay in the long run, with real windows of 100 and 10.

        The cube rewards steadiness, so this differs from `score`. Streams are drawn as validators draw them: the label
        uniformly from {0, 1}, then a row with that label; the first 100 steps fill the window and are not counted.
        """
        predictions, labels = same_shape(p, y)
        chosen = draw_streams(labels, streams, steps + MCC_WINDOW, np.random.default_rng(seed))
        return float(window_rewards(predictions[chosen], labels[chosen])[:, MCC_WINDOW:].mean())


def draw_streams(
    labels: npt.NDArray[np.bool_], streams: int, steps: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Row numbers of streams with uniform labels, [streams, steps]; one class only if there is only one."""
    pools = [pool for pool in (np.flatnonzero(~labels), np.flatnonzero(labels)) if len(pool)]
    which = rng.integers(len(pools), size=(streams, steps))
    share = rng.random((streams, steps))
    return np.choose(which, [pool[(share * len(pool)).astype(np.intp)] for pool in pools])
