"""Folds that keep groups whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def group_folds(
    groups: Sequence[str], strata: Sequence[object] | npt.NDArray[np.generic], k: int, seed: int
) -> npt.NDArray[np.int64]:
    """Deals whole groups into k folds, each stratum spread as evenly as its groups allow.

    A group of several strata counts for its most frequent one. Within a stratum the largest groups go first, each to
    the fold that holds the fewest rows of that stratum; equal sizes are shuffled by the seed.

    Args:
        groups: one per row.
        strata: one per row, e.g. origin and label.
        k: number of folds, at least 2.
        seed: decides ties.

    Returns:
        int64 [N], the fold of each row. With fewer groups than folds some folds are empty.

    Example:
        >>> group_folds(["a", "a", "b", "c"], [1, 1, 0, 1], 2, seed=0)[:2].tolist() in ([0, 0], [1, 1])
        True
    """
    if k < 2:
        raise ValueError(f"need at least 2 folds, got {k}")
    _, group_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    _, stratum_of = np.unique(np.array([str(s) for s in strata]), return_inverse=True)
    if len(group_of) == 0:
        return np.zeros(0, np.int64)
    counts = np.zeros((group_of.max() + 1, stratum_of.max() + 1), np.int64)
    np.add.at(counts, (group_of, stratum_of), 1)
    main = counts.argmax(axis=1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts.sum(axis=1)[order], kind="stable")]
    load = np.zeros((k, counts.shape[1]))
    fold_of_group = np.zeros(len(counts), np.int64)
    for group in order:
        stratum = main[group]
        # The tie-break on total load keeps the folds of many small strata alike.
        fold = int(np.lexsort((load.sum(axis=1), load[:, stratum]))[0])
        fold_of_group[group] = fold
        load[fold] += counts[group]
    return np.asarray(fold_of_group[group_of], np.int64)
