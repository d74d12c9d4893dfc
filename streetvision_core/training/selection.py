"""How candidates compare on SELECT: MCC first, then simplicity, then log-loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.training.spec import Candidate

Matrix = npt.NDArray[np.float64]

_TEMPERATURES: Final = 2.0 ** np.linspace(-4.0, 4.0, 33)
_REPEATS: Final = 200


def weighted_mcc(counts: Matrix) -> Matrix:
    """MCC of weighted confusion counts [..., 4] in the order tp, fp, fn, tn; 0 where it is undefined.

    Example:
        >>> weighted_mcc(np.array([5.0, 0.0, 0.0, 5.0])).item()
        1.0
    """
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    below = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.asarray(np.divide(tp * tn - fp * fn, below, out=np.zeros_like(below), where=below > 0), np.float64)


def confusion(logits: Matrix, y: npt.NDArray[np.int8], weights: Matrix) -> Matrix:
    """Weighted confusion of each row at logit 0: [N, K, 4] for logits [N, K]."""
    said, is_true = logits > 0, (y == 1)[:, None]
    cells = np.stack([said & is_true, said & ~is_true, ~said & is_true, ~said & ~is_true], axis=-1)
    return np.asarray(cells * weights[:, None, None], np.float64)


def log_loss(logits: Matrix, y: npt.NDArray[np.int8], weights: Matrix) -> Matrix:
    """Weighted log-loss [K] of logits [N, K]."""
    margin = np.where((y == 1)[:, None], logits, -logits)
    return np.asarray(np.average(np.logaddexp(0.0, -margin), axis=0, weights=weights), np.float64)


def scaled_log_loss(logits: Matrix, y: npt.NDArray[np.int8], weights: Matrix) -> Matrix:
    """Log-loss [K] at each candidate's best temperature: calibration comes later, only the shape counts here."""
    return np.asarray(np.min([log_loss(logits / t, y, weights) for t in _TEMPERATURES], axis=0), np.float64)


def mcc_standard_error(cells: Matrix, groups: Sequence[str], seed: int) -> float:
    """Standard error of one candidate's MCC over resampled groups.

    Args:
        cells: weighted confusion of each row, [N, 4].
        groups: one per row.
        seed: of the resampling.
    """
    _, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    per_group = np.zeros((inverse.max() + 1, 4))
    np.add.at(per_group, inverse, cells)
    n = len(per_group)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=_REPEATS)
    return float(weighted_mcc(np.asarray(draws @ per_group, np.float64)).std())


def choose(candidates: Sequence[Candidate], mcc_tie: float) -> int:
    """The position of the best candidate.

    MCC decides, but differences within `mcc_tie` are ties (one standard error of the best, so that forty candidates
    on forty photos are not ranked by luck); then the fewer parameters; then the smaller log-loss.

    Args:
        candidates: at least one.
        mcc_tie: largest MCC difference that counts as a tie.
    """
    best = max(c.select_mcc for c in candidates)
    tied = [i for i, c in enumerate(candidates) if c.select_mcc >= best - mcc_tie]
    return min(tied, key=lambda i: (candidates[i].parameters, candidates[i].select_log_loss, i))
