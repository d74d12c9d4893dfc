"""Venn-Abers calibration: fitted by the package `venn-abers`, kept and evaluated as two step functions.

Source: Vovk, Petej, Fedorova, "Large-scale probabilistic predictors with and without guarantees of validity" (2015),
algorithms 1-6. Only numbers are stored, so that the server needs neither the package nor a pickle.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels

_DECIMALS: Final = 3
"""Scores are rounded to this many decimals of a logit, which bounds the number of steps."""


@dataclass(frozen=True, slots=True, eq=False)
class VennAbers:
    """Two isotonic step functions; p = p1 / (1 - p0 + p1).

    Attributes:
        points: calibration scores, rising, [K].
        p0: probability if the new row were none, [K + 1].
        p1: probability if the new row were road work, [K + 1].
        n: rows it was fitted on.
    """

    points: Array
    p0: Array
    p1: Array
    n: int

    method: ClassVar[str] = "venn-abers"
    least_per_class: ClassVar[int] = 25

    @classmethod
    def fit(cls, scores: Array, y: Labels, weights: Array) -> VennAbers:
        """Fits the step functions; every row counts once, `weights` are not used."""
        from venn_abers.venn_abers import calc_p0p1

        rounded = np.round(scores, _DECIMALS)
        with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the package takes minima over empty slopes
            p0, p1, points = calc_p0p1(np.stack([-rounded, rounded], axis=1), y.astype(np.float64))
        return cls(points, np.clip(p0[:, 1], 0, 1), np.clip(p1[:, 1], 0, 1), len(scores))

    def interval(self, scores: npt.ArrayLike) -> tuple[Array, Array]:
        """The pair (p0, p1) of scores [N]: its width says how little the calibration rows know there."""
        x = np.round(np.asarray(scores, np.float64), _DECIMALS)
        low = self.p0[np.searchsorted(self.points, x, side="right")]
        high = self.p1[np.searchsorted(self.points, x, side="left")]
        return low, high

    def predict(self, scores: npt.ArrayLike) -> Array:
        """Probabilities in (0, 1) of scores [N]."""
        low, high = self.interval(scores)
        floor = 1.0 / (self.n + 2.0)
        return np.clip(high / (1.0 - low + high), floor, 1.0 - floor)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form: the step functions themselves."""
        arrays = {"points": self.points, "p0": self.p0, "p1": self.p1}
        return {"method": self.method, "n": self.n} | {name: np.round(a, 6).tolist() for name, a in arrays.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VennAbers:
        """The inverse of `to_dict`."""
        points, p0, p1 = (np.asarray(data[name], np.float64) for name in ("points", "p0", "p1"))
        return cls(points, p0, p1, data["n"])
