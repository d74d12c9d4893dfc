"""Whether the world has changed: bets against "nothing has", with a bound on false alarms that holds at any time.

Each frame gets a score; if nothing changes, the scores are exchangeable, and the conformal p-value of each among all
before it is uniform and independent of the earlier ones (Vovk, Nouretdinov and Gammerman, Testing Exchangeability
On-Line, ICML 2003). The Simple Jumper bets on p-values that are too large or too small (Vovk et al., Retrain or Not
Retrain, COPA 2021). Its capital is a martingale that starts at 1, so by Ville's inequality it ever reaches 1 / alpha
with probability at most alpha, whenever and however often one looks. No reference set has to be trusted: the first days
are the reference.

Frames of one drive are not exchangeable: watch one frame of each group.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError
from streetvision_core.storage import atomic_write_json

Kind = Literal["input", "prediction", "calibration"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ALPHA: Final = 0.05
"""Chance of any false alarm, ever, over all kinds together."""
_JUMP: Final = 0.01
_STAKES: Final = (-1.0, 0.0, 1.0)
_BLOCK: Final = 4096
_LARGEST: Final = 1e12
"""Capital is cut off here: it has made its point, and JSON has no infinity."""

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Watch:
    """One martingale and what it has seen.

    Attributes:
        scores: all scores so far, sorted.
        capital: of the bettors for small, no and large p-values; the martingale is their sum.
        peak: the largest value so far.
        alarm_day: the first day on which the threshold was reached; empty before.
    """

    scores: tuple[float, ...] = ()
    capital: tuple[float, float, float] = (1 / 3, 1 / 3, 1 / 3)
    peak: float = 1.0
    alarm_day: str = ""

    @property
    def evidence(self) -> float:
        """What one unit has become by betting."""
        return sum(self.capital)

    def update(self, scores: npt.ArrayLike, day: str, threshold: float, seed: int) -> Watch:
        """Watches the scores of a day, in the order they came.

        Args:
            scores: finite numbers [N].
            day: `YYYY-MM-DD`.
            threshold: the alarm's, 1 / alpha of this kind.
            seed: of the draws that break ties; another for each day.

        Raises:
            DataError: a score is not finite.
        """
        values = np.asarray(scores, np.float64).ravel()
        if not np.isfinite(values).all():
            raise DataError(
                f"{int((~np.isfinite(values)).sum())} scores that are not finite", "numbers", "leave them out"
            )
        rng = np.random.default_rng(seed)
        seen, capital, peak, alarm = list(self.scores), list(self.capital), self.peak, self.alarm_day
        for value in values.tolist():
            low, high = bisect.bisect_left(seen, value), bisect.bisect_right(seen, value)
            # Smoothed: equal scores are ranked by lot, which makes the p-value exactly uniform.
            p = (low + rng.random() * (high - low + 1)) / (len(seen) + 1)
            seen.insert(high, value)
            capital = _bet(capital, p)
            peak = max(peak, sum(capital))
            if not alarm and peak >= threshold:
                alarm = day
        return Watch(tuple(seen), (capital[0], capital[1], capital[2]), peak, alarm)


@dataclass(frozen=True, slots=True)
class DriftState:
    """All kinds, for one serving version.

    Attributes:
        version: the model whose answers are watched; another one starts anew.
        since: the first day.
        days: the days watched.
        watches: one per kind.
        alpha: chance of any false alarm over all kinds.
    """

    version: str
    since: str
    days: tuple[str, ...]
    watches: Mapping[str, Watch]
    alpha: float = ALPHA

    @classmethod
    def start(cls, version: str, day: str, alpha: float = ALPHA) -> DriftState:
        """Nothing seen yet."""
        return cls(version, day, (), {kind: Watch() for kind in KINDS}, alpha)

    @property
    def threshold(self) -> float:
        """Where each kind gives alarm: the kinds share alpha (Bonferroni)."""
        return len(KINDS) / self.alpha

    def watch(self, day: str, scores: Mapping[Kind, npt.ArrayLike]) -> DriftState:
        """The state after another day.

        Raises:
            DataError: the day is not later than the last one; watching a day twice would count it twice.
        """
        if self.days and day <= self.days[-1]:
            raise DataError(
                f"the day {day} after {self.days[-1]}", "a later day", "go on from the state of the day before"
            )
        # a night over past days, `<since>_to_<until>`, draws as the night of its last day does
        seeds = {kind: int(day[-10:].replace("-", "")) * 10 + i for i, kind in enumerate(KINDS)}
        watches = {
            kind: watch.update(scores[kind], day, self.threshold, seeds[kind]) if kind in scores else watch  # type: ignore[index]
            for kind, watch in self.watches.items()
        }
        return replace(self, days=(*self.days, day), watches=watches)

    def save(self, path: Path) -> None:
        """Writes JSON by replace."""
        atomic_write_json(path, {**asdict(self), "watches": {k: asdict(w) for k, w in self.watches.items()}})

    @classmethod
    def load(cls, path: Path) -> DriftState:
        """Reads what `save` wrote.

        Raises:
            DataError: the file is missing or broken.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text())
            watches = {
                kind: Watch(tuple(w["scores"]), tuple(w["capital"]), w["peak"], w["alarm_day"])
                for kind, w in data["watches"].items()
            }
            return cls(data["version"], data["since"], tuple(data["days"]), watches, data["alpha"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                got=f"{path.name}: {error}",
                allowed="a state written by DriftState.save",
                action="remove it; the watch begins anew",
                path=str(path),
            ) from error


def gauges(state: DriftState) -> dict[str, dict[str, float]]:
    """What a metrics endpoint shows: by gauge name, by kind."""
    return {
        "sv_drift_evidence": {kind: watch.evidence for kind, watch in state.watches.items()},
        "sv_drift_alarm": {kind: float(bool(watch.alarm_day)) for kind, watch in state.watches.items()},
        "sv_drift_watched": {kind: float(len(watch.scores)) for kind, watch in state.watches.items()},
    }


def input_distance(
    features: npt.NDArray[np.float32], reference: npt.NDArray[np.float32], neighbours: int = 5
) -> Doubles:
    """How far each frame is from what the model was trained on.

    Args:
        features: float32 [N, D].
        reference: float32 [M, D], training rows; the distance depends on nothing but them.
        neighbours: the mean over so many nearest.

    Returns:
        float64 [N], 1 - cosine, in [0, 2].
    """
    k = min(neighbours, len(reference))
    base, out = _unit(reference), np.empty(len(features))
    for start in range(0, len(features), _BLOCK):
        cosine = _unit(features[start : start + _BLOCK]) @ base.T
        out[start : start + _BLOCK] = 1.0 - np.partition(cosine, -k, axis=1)[:, -k:].mean(axis=1)
    return out


def one_of_each(groups: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """One row of each group by lot, in the order they came."""
    from streetvision_core.calibration.exits import one_row_per_group

    return one_row_per_group(groups, seed)


def _bet(capital: list[float], p: float) -> list[float]:
    """A hundredth of the capital changes sides, then each side bets 1 + stake (p - 1/2)."""
    share = _JUMP * sum(capital) / len(_STAKES)
    moved = [(1.0 - _JUMP) * c + share for c in capital]
    return [min(c * (1.0 + stake * (p - 0.5)), _LARGEST) for c, stake in zip(moved, _STAKES, strict=True)]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
