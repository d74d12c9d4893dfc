"""What a candidate head is, and which candidates one pass trains."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal

from streetvision_core.settings import TrainingSettings
from streetvision_core.training.weights import Balance

Kind = Literal["baseline", "linear", "mlp"]
Loss = Literal["cross-entropy", "focal"]

HIDDEN_UNITS: Final = 64
BASELINE_C: Final = 0.01
"""Inverse ridge of the scikit-learn baseline, the recipe measured in the README of the street photos."""


@dataclass(frozen=True, slots=True)
class CandidateSpec:
    """One recipe.

    Attributes:
        kind: scikit-learn's logistic regression, a linear head, or an MLP with one hidden layer.
        loss: cross-entropy, or focal loss with gamma 2.
        learning_rate: of Adam; 0 for the baseline.
        weight_decay: ridge coefficient lambda in mean loss + lambda/2 |w|^2; for the baseline the C of scikit-learn.
        hidden: hidden units, 0 if linear.
        balance: how rows are weighted.
    """

    kind: Kind
    loss: Loss = "cross-entropy"
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    hidden: int = 0
    balance: Balance = "class"

    @property
    def name(self) -> str:
        """A readable name, unique among the candidates of one pass."""
        if self.kind == "baseline":
            return f"baseline C={self.weight_decay:g} {self.balance}"
        numbers = f"lr={self.learning_rate:g} wd={self.weight_decay:g}"
        return f"{self.kind} {self.loss} {numbers} {self.balance}"

    def parameters(self, dim: int) -> int:
        """Number of fitted numbers on `dim` features; the measure of simplicity."""
        return dim * self.hidden + 2 * self.hidden + 1 if self.hidden else dim + 1

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CandidateSpec:
        """The inverse of `to_dict`."""
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained recipe and how it did.

    Attributes:
        spec: the recipe.
        parameters: number of fitted numbers.
        select_mcc: MCC at probability 0.5 on SELECT, each photo once; 0 where SELECT holds one class.
        select_log_loss: log-loss on SELECT at the best temperature, so that losses of different scale compare.
        select_accuracy: accuracy on SELECT.
        train_log_loss: weighted log-loss on TRAIN.
        chosen: whether it became the head.
    """

    spec: CandidateSpec
    parameters: int
    select_mcc: float
    select_log_loss: float
    select_accuracy: float
    train_log_loss: float
    chosen: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"name": self.spec.name, **dataclasses.asdict(self)}


def default_specs(settings: TrainingSettings) -> list[CandidateSpec]:
    """Every candidate of one pass: the baselines, then linear and MLP heads over the settings' grid."""
    balances: tuple[Balance, ...] = ("class", "origin")
    losses: tuple[Loss, ...] = ("cross-entropy", "focal")
    grid = list(product(losses, settings.learning_rates, settings.weight_decays))
    specs = [CandidateSpec("baseline", weight_decay=BASELINE_C, balance=b) for b in balances]
    specs += [CandidateSpec("linear", loss, lr, wd, 0, b) for b in balances for loss, lr, wd in grid]
    return specs + [CandidateSpec("mlp", loss, lr, wd, HIDDEN_UNITS, "origin") for loss, lr, wd in grid]
