"""Many heads of one shape in one pass: parameters carry a leading candidate axis, each product is one einsum.

This module is nothing but torch; import it inside functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from streetvision_core.training.spec import CandidateSpec

FOCAL_GAMMA = 2.0
_BATCHES_PER_EPOCH = 8
_MAX_VISITS = 200_000
_MIN_BATCH, _MAX_BATCH = 64, 512
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Trained parameters of K candidates of one shape.

    Attributes:
        weights: float32 [K, in, out] per layer.
        biases: float32 [K, out] per layer.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def logits(self, x: Tensor) -> Tensor:
        """Logits [N, K] of rows [N, D]."""
        if len(self.weights) == 1:
            return torch.einsum("nd,kd->nk", x, self.weights[0][..., 0]) + self.biases[0][:, 0]
        hidden = torch.relu(torch.einsum("nd,kdh->nkh", x, self.weights[0]) + self.biases[0])
        return torch.einsum("nkh,kh->nk", hidden, self.weights[1][..., 0]) + self.biases[1][:, 0]


def train_layers(
    x: npt.NDArray[np.float32],
    y: npt.NDArray[np.int8],
    row_weights: npt.NDArray[np.float64],
    specs: Sequence[CandidateSpec],
    epochs: int,
    seed: int,
    progress: Callable[[float], None] | None = None,
) -> Layers:
    """Fits K candidates of one shape by Adam with a cosine schedule.

    Args:
        x: float32 [N, D], standardised.
        y: int8 [N], 0 or 1.
        row_weights: float64 [N, K], mean 1 per candidate; 0 hides a row from a candidate.
        specs: the K recipes, all with the same `hidden`.
        epochs: passes over the rows; large tables get fewer, so that no more than 200,000 rows are visited.
        seed: decides initial values and row order.
        progress: called after each epoch with the share that is done.
    """
    generator = torch.Generator().manual_seed(seed)
    features, targets = torch.from_numpy(x), torch.from_numpy(y.astype(np.float32))[:, None]
    weights = torch.from_numpy(row_weights.astype(np.float32))
    layers = _initial(x.shape[1], specs, generator)
    optimiser = _Adam([*layers.weights, *layers.biases], specs)
    focal = torch.tensor([spec.loss == "focal" for spec in specs])
    batch = min(_MAX_BATCH, max(_MIN_BATCH, math.ceil(len(x) / _BATCHES_PER_EPOCH)))
    epochs = max(1, min(epochs, math.ceil(_MAX_VISITS / len(x))))
    total = epochs * math.ceil(len(x) / batch)
    for epoch in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in torch.split(order, batch):
            loss = _loss(layers.logits(features[rows]), targets[rows], weights[rows], focal)
            # Candidates share no parameters, so the gradient of the sum is each one's own gradient.
            gradients = torch.autograd.grad(loss.mean(dim=0).sum(), optimiser.parameters)
            optimiser.step(gradients, 0.5 * (1.0 + math.cos(math.pi * optimiser.steps / total)))
        if progress is not None:
            progress((epoch + 1) / epochs)
    return Layers(tuple(w.detach() for w in layers.weights), tuple(b.detach() for b in layers.biases))


def _initial(dim: int, specs: Sequence[CandidateSpec], generator: torch.Generator) -> Layers:
    k, hidden = len(specs), specs[0].hidden
    if not hidden:
        return Layers((torch.zeros(k, dim, 1, requires_grad=True),), (torch.zeros(k, 1, requires_grad=True),))
    # One draw for all candidates: they differ by recipe, not by luck.
    first = torch.randn(1, dim, hidden, generator=generator) * math.sqrt(2.0 / dim)
    second = torch.randn(1, hidden, 1, generator=generator) * math.sqrt(1.0 / hidden)
    weights = tuple(w.repeat(k, 1, 1).requires_grad_() for w in (first, second))
    return Layers(weights, (torch.zeros(k, hidden, requires_grad=True), torch.zeros(k, 1, requires_grad=True)))


def _loss(logits: Tensor, targets: Tensor, weights: Tensor, focal: Tensor) -> Tensor:
    """Weighted loss [n, K]; focal candidates weigh each row by (1 - p of its class) ** gamma."""
    margin = torch.where(targets > 0.5, logits, -logits)
    cross_entropy = softplus(-margin)
    modulation = torch.where(focal, torch.sigmoid(-margin) ** FOCAL_GAMMA, torch.ones(()))
    return weights * modulation * cross_entropy


class _Adam:
    """Adam whose learning rate and ridge differ per candidate; biases are not decayed."""

    def __init__(self, parameters: list[Tensor], specs: Sequence[CandidateSpec]) -> None:
        self.parameters = parameters
        self.steps = 0
        self._rates = torch.tensor([spec.learning_rate for spec in specs])
        self._decays = torch.tensor([spec.weight_decay for spec in specs])
        self._first = [torch.zeros_like(p) for p in parameters]
        self._second = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], schedule: float) -> None:
        """One update, the learning rates scaled by `schedule`."""
        self.steps += 1
        correct1, correct2 = 1.0 - _BETA1**self.steps, 1.0 - _BETA2**self.steps
        moments = zip(self.parameters, gradients, self._first, self._second, strict=True)
        for parameter, gradient, first, second in moments:
            shape = (-1,) + (1,) * (parameter.ndim - 1)
            if parameter.ndim == 3:
                gradient = gradient + self._decays.view(shape) * parameter
            first.lerp_(gradient, 1.0 - _BETA1)
            second.mul_(_BETA2).addcmul_(gradient, gradient, value=1.0 - _BETA2)
            update = first.div(second.sqrt().add_(_EPSILON * math.sqrt(correct2)))
            parameter.sub_(update.mul_((self._rates * (schedule * math.sqrt(correct2) / correct1)).view(shape)))
