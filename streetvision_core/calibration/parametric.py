"""Calibrators with one to three parameters: temperature, Platt, beta."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Labels, sigmoid
from streetvision_core.errors import CalibrationError


def squash(p: Array, n: float) -> Array:
    """Draws probabilities in by 1 / (n + 2): n rows cannot prove more certainty than that (Laplace's rule)."""
    floor = 1.0 / (n + 2.0)
    return floor + (1.0 - 2.0 * floor) * p


@dataclass(frozen=True, slots=True)
class _Affine:
    """p = sigmoid(scale * score + bias), squashed.

    Attributes:
        scale: positive; the inverse temperature.
        bias: in logits.
        n: rows it was fitted on.
    """

    scale: float
    bias: float
    n: int

    method: ClassVar[str]
    least_per_class: ClassVar[int]
    with_bias: ClassVar[bool]

    @classmethod
    def fit(cls, scores: Array, y: Labels, weights: Array) -> Self:
        """Minimises the log-loss to Platt's smoothed targets, which keeps separable rows from infinite certainty.

        Raises:
            CalibrationError: higher scores mean less road work.
        """
        from scipy.optimize import minimize

        positives = float(weights[y == 1].sum())
        negatives = float(weights[y == 0].sum())
        target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
        spread = float(scores.std())

        def loss(parameters: Array) -> tuple[float, Array]:
            z = parameters[0] * scores / spread + parameters[1] * cls.with_bias
            gap = weights * (sigmoid(z) - target)
            value = np.sum(weights * (np.logaddexp(0.0, z) - target * z))
            slopes = np.array([np.sum(gap * scores / spread), np.sum(gap) * cls.with_bias])
            return float(value / weights.sum()), slopes / weights.sum()

        found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B")
        if not found.x[0] > 0:
            raise _decreasing(cls.method)
        return cls(float(found.x[0] / spread), float(found.x[1]), len(scores))

    def predict(self, scores: npt.ArrayLike) -> Array:
        """Probabilities in (0, 1) of scores [N]."""
        return squash(sigmoid(self.scale * np.asarray(scores, np.float64) + self.bias), self.n)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"method": self.method, "scale": self.scale, "bias": self.bias, "n": self.n}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(data["scale"], data["bias"], data["n"])


class Temperature(_Affine):
    """One parameter: the scale."""

    __slots__ = ()
    method = "temperature"
    least_per_class = 2
    with_bias = False


class Platt(_Affine):
    """Two parameters: scale and bias."""

    __slots__ = ()
    method = "platt"
    least_per_class = 5
    with_bias = True


@dataclass(frozen=True, slots=True)
class Beta:
    """Beta calibration (Kull et al., AISTATS 2017): logit p = a ln s - b ln(1 - s) + c with s = sigmoid(score).

    Attributes:
        a: non-negative.
        b: non-negative.
        c: bias in logits.
        n: rows it was fitted on.
    """

    a: float
    b: float
    c: float
    n: int

    method: ClassVar[str] = "beta"
    least_per_class: ClassVar[int] = 15

    @classmethod
    def fit(cls, scores: Array, y: Labels, weights: Array) -> Beta:
        """Fits by the authors' package.

        Raises:
            CalibrationError: higher scores mean less road work.
        """
        from betacal import BetaCalibration

        with warnings.catch_warnings():
            # The package silences every warning of the process; this keeps it to itself.
            fitted = BetaCalibration(parameters="abm").fit(sigmoid(scores), y, sample_weight=weights).calibrator_
        a, b, _ = (float(v) for v in fitted.map_)
        if a < 0 or b < 0 or a + b == 0:
            raise _decreasing(cls.method)
        return cls(a, b, float(fitted.lr_.intercept_[0]), len(scores))

    def predict(self, scores: npt.ArrayLike) -> Array:
        """Probabilities in (0, 1) of scores [N]."""
        x = np.asarray(scores, np.float64)
        z = -self.a * np.logaddexp(0.0, -x) + self.b * np.logaddexp(0.0, x) + self.c
        return squash(sigmoid(z), self.n)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"method": self.method, "a": self.a, "b": self.b, "c": self.c, "n": self.n}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Beta:
        """The inverse of `to_dict`."""
        return cls(data["a"], data["b"], data["c"], data["n"])


def _decreasing(method: str) -> CalibrationError:
    return CalibrationError(
        got=f"a {method} calibrator that falls as the score rises",
        allowed="scores that rise with the chance of road work",
        action="check the labels and the head: it does worse than chance on CALIBRATE",
    )
