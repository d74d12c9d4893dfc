"""Fits a list of candidate recipes, shape by shape, and answers for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streetvision_core.training._space import principal_axes
from streetvision_core.training.spec import CandidateSpec
from streetvision_core.training.threads import one_thread

Array32 = npt.NDArray[np.float32]
Array64 = npt.NDArray[np.float64]
HeadLayers = tuple[tuple[Array32, ...], tuple[Array32, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Fitted candidates of one shape.

    Attributes:
        positions: where they stand among all candidates.
        weights: float32 [K, in, out] per layer.
        biases: float32 [K, out] per layer.
        on_axes: whether they see the features through the principal axes.
    """

    positions: list[int]
    weights: tuple[Array32, ...]
    biases: tuple[Array32, ...]
    on_axes: bool


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Fitted candidates on standardised features, in the order of their specs.

    Attributes:
        parts: one entry per shape.
        axes: float32 [D, R] through which the candidates trained in one pass see the features; the baseline sees all.
        size: number of candidates.
    """

    parts: tuple[Part, ...]
    axes: Array32 | None
    size: int

    def logits(self, x: Array32) -> Array64:
        """Logits float64 [N, K] of standardised rows."""
        out = np.empty((len(x), self.size))
        seen = x @ self.axes if self.axes is not None else x
        for part in self.parts:
            rows, weights, biases = seen if part.on_axes else x, part.weights, part.biases
            if len(weights) == 1:
                out[:, part.positions] = rows @ weights[0][..., 0].T + biases[0][:, 0]
                continue
            for k, position in enumerate(part.positions):
                hidden = np.maximum(rows @ weights[0][k] + biases[0][k], 0.0)
                out[:, position] = (hidden @ weights[1][k] + biases[1][k])[:, 0]
        return out

    def layers(self, position: int) -> HeadLayers:
        """One candidate's layers on standardised features, the principal axes folded into the first."""
        part = next(part for part in self.parts if position in part.positions)
        k = part.positions.index(position)
        chosen = [w[k] for w in part.weights]
        if part.on_axes and self.axes is not None:
            chosen[0] = self.axes @ chosen[0]
        return tuple(np.asarray(w, np.float32) for w in chosen), tuple(b[k] for b in part.biases)


def fit_specs(
    x: Array32,
    y: npt.NDArray[np.int8],
    row_weights: Array64,
    specs: Sequence[CandidateSpec],
    epochs: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """Fits every recipe.

    Args:
        x: float32 [N, D], standardised.
        y: int8 [N], 0 or 1.
        row_weights: float64 [N, K], one column per recipe.
        specs: the K recipes.
        epochs: passes over the rows.
        seed: of everything random.
        progress: called with units done and in all.
    """
    shapes = {kind: [k for k, spec in enumerate(specs) if spec.kind == kind] for kind in ("baseline", "linear", "mlp")}
    present = [kind for kind, positions in shapes.items() if positions]
    axes = principal_axes(x, seed) if shapes["linear"] or shapes["mlp"] else None
    seen = x @ axes if axes is not None else x
    parts: list[Part] = []
    for done, kind in enumerate(present):
        positions, tick = shapes[kind], _ticker(progress, done, len(present))
        chosen, weights = [specs[k] for k in positions], row_weights[:, positions]
        if kind == "baseline":
            weight_layers, biases = _fit_baselines(x, y, weights, chosen, tick)
        else:
            weight_layers, biases = _fit_batched(seen, y, weights, chosen, epochs, seed, tick)
        parts.append(Part(positions, weight_layers, biases, on_axes=kind != "baseline"))
    return Fit(tuple(parts), axes, len(specs))


def mean_layers(fits: Sequence[HeadLayers]) -> HeadLayers:
    """The layers of the head whose logit is the mean of several heads' logits.

    Linear heads are averaged; the hidden units of MLPs stand side by side, and their last layers share the answer.

    Args:
        fits: layers of heads of one shape, at least one.

    Example:
        >>> one, other = (((np.full((2, 1), w),), (np.zeros(1),)) for w in (1.0, 3.0))
        >>> mean_layers([one, other])[0][0].ravel().tolist()
        [2.0, 2.0]
    """
    weights, biases = zip(*fits, strict=True)
    first, *rest = ([layers[i] for layers in weights] for i in range(len(weights[0])))
    bias, *bias_rest = ([layers[i] for layers in biases] for i in range(len(biases[0])))
    if not rest:
        return (_mean(first),), (_mean(bias),)
    last = np.asarray(np.concatenate(rest[0]) / len(fits), np.float32)
    return (np.concatenate(first, axis=1), last), (np.concatenate(bias), _mean(bias_rest[0]))


def _mean(arrays: Sequence[Array32]) -> Array32:
    return np.asarray(np.mean(arrays, axis=0), np.float32)


def _ticker(progress: Callable[[int, int], None] | None, done: int, parts: int) -> Callable[[float], None]:
    """Turns the share of one part that is done into per cent of all parts."""

    def tick(share: float) -> None:
        if progress is not None:
            progress(round(100 * (done + share) / parts), 100)

    return tick


def _fit_batched(
    x: Array32,
    y: npt.NDArray[np.int8],
    weights: Array64,
    specs: Sequence[CandidateSpec],
    epochs: int,
    seed: int,
    tick: Callable[[float], None],
) -> HeadLayers:
    from streetvision_core.training._batched import train_layers

    with one_thread():
        fitted = train_layers(x, y, weights, specs, epochs, seed, tick)
    return tuple(w.numpy() for w in fitted.weights), tuple(b.numpy() for b in fitted.biases)


def _fit_baselines(
    x: Array32, y: npt.NDArray[np.int8], weights: Array64, specs: Sequence[CandidateSpec], tick: Callable[[float], None]
) -> HeadLayers:
    """scikit-learn's logistic regression for each column of weights.

    The weights sum to the effective number of rows of both classes (Kish), so that many light variants of few photos do
    not weaken the ridge.
    """
    from sklearn.linear_model import LogisticRegression

    coefficients, intercepts = [], []
    for column, spec in enumerate(specs):
        model: Any = LogisticRegression(C=spec.weight_decay, max_iter=300)
        used = weights[:, column] > 0
        own = weights[used, column]
        effective = sum(float(w.sum() ** 2 / (w**2).sum()) for w in (own[y[used] == 0], own[y[used] == 1]))
        model.fit(x[used], y[used], sample_weight=own * effective / own.sum())
        coefficients.append(model.coef_.T.astype(np.float32))
        intercepts.append(model.intercept_.astype(np.float32))
        tick((column + 1) / len(specs))
    return (np.stack(coefficients),), (np.stack(intercepts),)
