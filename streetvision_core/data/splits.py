"""TRAIN / SELECT / CALIBRATE / TEST: disjoint in groups, spread over strata, the same every time.

Example:
    >>> assign_splits(["a", "a", "b"], ["x", "x", "x"], fractions=(0.5, 0, 0, 0.5))
    [<Split.TRAIN: 'TRAIN'>, <Split.TRAIN: 'TRAIN'>, <Split.TEST: 'TEST'>]
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import DataError, LeakError
from streetvision_core.types import FloatArray, Split

FRACTIONS: Final = (0.5, 0.1, 0.2, 0.2)
_BLOCK: Final = 1024


def assign_splits(
    groups: Sequence[str],
    strata: Sequence[str],
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    pinned: Mapping[str, Split] | None = None,
) -> list[Split]:
    """Assigns each group to one split so that every stratum comes close to the fractions.

    Groups are placed largest first, each where it lowers the squared shortfall most, counted in shares of its strata:
    a stratum of 14 photos weighs as much as one of 200. The result does not depend on the order of the rows.

    Args:
        groups: group of each row.
        strata: stratum of each row, e.g. origin and label.
        fractions: shares of TRAIN, SELECT, CALIBRATE and TEST; they sum to 1.
        seed: another seed gives another assignment.
        pinned: splits that some groups must have, e.g. TRAIN for what a detector was trained on; the others make up
            for it as far as they can.

    Raises:
        DataError: lengths differ, or the fractions are not shares.
    """
    splits = list(Split)
    if len(groups) != len(strata) or len(fractions) != len(splits):
        raise _wrong(f"{len(groups)} groups, {len(strata)} strata, {len(fractions)} fractions", "one each per row, 4")
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise _wrong(f"fractions {tuple(fractions)}", "shares that sum to 1")
    names = sorted(set(strata))
    shares = _shares_by_group(groups, strata, names)
    chosen = {group: split for group, split in (pinned or {}).items() if group in shares}
    missing = np.outer(fractions, np.ones(len(names)))
    for group, split in chosen.items():
        missing[splits.index(split)] -= shares[group]
    for group in sorted(shares.keys() - chosen.keys(), key=lambda g: (-shares[g].sum(), _draw(seed, g))):
        gain = ((missing**2) - (missing - shares[group]) ** 2).sum(axis=1)
        gain[np.array(fractions) == 0] = -np.inf
        best = int(np.argmax(gain))
        missing[best] -= shares[group]
        chosen[group] = splits[best]
    return [chosen[group] for group in groups]


def _shares_by_group(
    groups: Sequence[str], strata: Sequence[str], names: list[str]
) -> dict[str, npt.NDArray[np.float64]]:
    totals = Counter(strata)
    columns = {name: i for i, name in enumerate(names)}
    shares: dict[str, npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(names)))
    for group, stratum in zip(groups, strata, strict=True):
        shares[group][columns[stratum]] += 1.0 / totals[stratum]
    return dict(shares)


def _draw(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()


def join_near_duplicates(groups: Sequence[str], features: FloatArray, threshold: float) -> list[str]:
    """Joins groups that hold near-duplicates of each other.

    Args:
        groups: group of each row.
        features: [N, D], any non-zero scale.
        threshold: rows whose cosine is at least this belong together.

    Returns:
        a group for each row; joined groups carry the alphabetically first of their names.
    """
    parent = {group: group for group in groups}

    def root(group: str) -> str:
        while parent[group] != group:
            parent[group] = parent[parent[group]]
            group = parent[group]
        return group

    for i, j in _near_pairs(features, threshold):
        first, second = sorted((root(groups[i]), root(groups[j])))
        parent[second] = first
    return [root(group) for group in groups]


def joins_splits(
    features: FloatArray,
    splits: Sequence[str],
    threshold: float,
    fixed: int = 0,
    counted: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """Rows that would join groups of two splits: nearly equal to an earlier row of another split that was kept.

    The first row of such a pair stays, so that what is kept never depends on what comes later.

    Args:
        features: [N, D], any non-zero scale.
        splits: split of each row.
        threshold: rows whose cosine is at least this are nearly equal.
        fixed: the first so many rows are kept in any case.
        counted: False for rows that join nothing and are joined by nothing; None counts all.

    Returns:
        bool [N], True where the row is to be set aside.

    Example:
        >>> joins_splits(np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0]]), ["TRAIN", "TEST", "TEST"], 0.99).tolist()
        [False, True, False]
    """
    x = _unit(features)
    place = np.unique(np.asarray(splits, dtype=str), return_inverse=True)[1] if len(splits) else np.zeros(0, np.int64)
    kept = np.ones(len(x), bool) if counted is None else counted.copy()
    aside = np.zeros(len(x), bool)
    for start in range(fixed, len(x), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(x)))
        near = (x[block] @ x[: block.stop].T >= threshold) & (place[block, None] != place[None, : block.stop])
        for row in np.flatnonzero(near.any(axis=1)):
            number = start + int(row)
            if kept[number] and (near[row, :number] & kept[:number]).any():
                kept[number], aside[number] = False, True
    return aside


def check_no_leak(
    groups: Sequence[str],
    splits: Sequence[Split],
    features: FloatArray | None = None,
    threshold: float = 0.985,
) -> None:
    """Makes sure that no group, and no pair of near-duplicates, stands in two splits.

    Args:
        groups: group of each row.
        splits: split of each row.
        features: [N, D] to seek near-duplicates in; None checks groups alone.
        threshold: cosine from which two rows are near-duplicates.

    Raises:
        LeakError: with the first offenders.
    """
    where: dict[str, set[Split]] = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        where[group].add(split)
    if torn := sorted(group for group, found in where.items() if len(found) > 1):
        raise LeakError(
            got=f"{len(torn)} groups in several splits, e.g. {', '.join(torn[:3])}",
            allowed="each group in one split",
            action="assign splits with data.splits.assign_splits",
            groups=torn,
        )
    if features is None:
        return
    for i, j in _near_pairs(features, threshold):
        if splits[i] != splits[j]:
            raise LeakError(
                got=f"rows {i} ({groups[i]}, {splits[i]}) and {j} ({groups[j]}, {splits[j]}) nearly equal",
                allowed=f"cosine below {threshold} between splits",
                action="join groups with data.splits.join_near_duplicates before assigning splits",
                rows=(i, j),
            )


def _near_pairs(features: FloatArray, threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs i < j of rows with cosine >= threshold; rows of zeros are near nothing."""
    x = _unit(features)
    for start in range(0, len(x), _BLOCK):
        near = x[start : start + _BLOCK] @ x[start:].T >= threshold
        for i, j in zip(*np.nonzero(near), strict=True):
            if j > i:
                yield start + int(i), start + int(j)


def _unit(features: FloatArray) -> npt.NDArray[np.float32]:
    x = np.asarray(features, np.float32)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), np.float32)


def _wrong(got: str, allowed: str) -> DataError:
    return DataError(got=got, allowed=allowed, action="mend the call of assign_splits")
