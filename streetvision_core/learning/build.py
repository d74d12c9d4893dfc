"""One dataset from what the sources gave: no group in two splits, the stream under its caps.

The sources are `learning.sources` and `learning.rendered`; here nothing is read and nothing observed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from streetvision_core.data.splits import check_no_leak, joins_splits
from streetvision_core.learning.dataset import Dataset, Mask
from streetvision_core.mining.balance import balance_stream
from streetvision_core.settings import BalanceSettings
from streetvision_core.types import Split

CHALLENGE: Final = "CHALLENGE"
YOUR_STREAM: Final = "your stream"
"""Origin of the measured rows: queries that the random probe drew and a person labelled."""
_JUDGING: Final = (Split.CALIBRATE, Split.TEST)


def build_dataset(
    base: Dataset,
    nights: Sequence[Dataset],
    *,
    measured: Mapping[str, Split],
    drawn: Collection[str],
    balance: BalanceSettings,
    near_duplicate_cosine: float,
    challenge: Dataset | None = None,
) -> Dataset:
    """Base rows as they are, then what the stream teaches, then what of the stream measures.

    A row of the stream that is nearly equal to an earlier row of another split would join groups of two splits: it is
    set aside from all of them. The base was checked when it was made and stays.

    Args:
        base: photographs and held-out scenes, with splits.
        nights: what each night or day of the stream added, oldest first, with splits by group.
        measured: groups that measure, each with its split (`choose_measured`).
        drawn: images the random probe drew, by sha256. In a measured group only these count: what was chosen for
            being hard says nothing of the stream.
        balance: caps and weights of what teaches.
        near_duplicate_cosine: from here on two rows are nearly equal.
        challenge: rows of the challenge set; what of the stream nearly equals one of them, or is of its group, is set
            aside: somebody may send and label such an image, and it must never teach.

    Returns:
        The dataset; its notes name the rows set aside, and how many were capped or wait for a person.

    Raises:
        LeakError: a group stands in two splits all the same.
    """
    if not nights:
        return replace(base, notes=_notes(base, base.select([]), 0, 0, 0.0))
    stream, night = Dataset.concat(nights), np.repeat(np.arange(len(nights)), [len(one) for one in nights])
    measures, waits = _measured(stream, measured, drawn)
    stream = _with_splits(stream, base, measures, measured)
    joined = _joins(base, challenge, stream, ~waits, near_duplicate_cosine) | _of_judged_groups(stream, base, challenge)
    teaches = ~measures & ~waits & ~joined
    parts = [stream.select(teaches & (night == number)) for number in range(len(nights))]
    balanced = balance_stream(base.table, [part.table for part in parts], balance)
    taught = Dataset.concat(parts).select(balanced.rows)
    if balanced.table is not None:
        taught = replace(taught, table=balanced.table)
    built = Dataset.concat([base, taught, stream.select(measures & ~joined)])
    check_no_leak(built.table.groups, built.table.splits or ())
    notes = _notes(base, stream.select(joined), balanced.capped, int(waits.sum()), balanced.share)
    return replace(built, notes=notes)


def _measured(stream: Dataset, measured: Mapping[str, Split], drawn: Collection[str]) -> tuple[Mask, Mask]:
    """Rows that measure, and rows of measured groups that do not: hard ones, and drawn ones nobody labelled yet."""
    pairs = list(zip(stream.table.groups, stream.rows, strict=True))
    kept = np.array([group in measured and row.world == "real" for group, row in pairs], bool)
    counts = np.array([row.image in drawn and row.labelled_by == "person" for _, row in pairs], bool)
    return kept & counts, kept & ~counts


def _with_splits(stream: Dataset, base: Dataset, measures: Mask, measured: Mapping[str, Split]) -> Dataset:
    """Measured rows get their group's split and an origin of their own; other groups keep the split they had first."""
    table = stream.table
    known = dict(zip(base.table.groups, base.table.splits or (), strict=True))
    for group, split in zip(table.groups, table.splits or (), strict=True):
        known.setdefault(group, split)
    rows = list(zip(measures.tolist(), table.groups, table.origins, strict=True))
    splits = tuple(measured[group] if own else known[group] for own, group, _ in rows)
    origins = tuple(YOUR_STREAM if own else origin for own, _, origin in rows)
    weights = np.where(measures, 1.0, table.weights).astype(np.float32)
    return replace(stream, table=replace(table, splits=splits, origins=origins, weights=weights))


def _joins(base: Dataset, challenge: Dataset | None, stream: Dataset, counts: Mask, cosine: float) -> Mask:
    """Rows of the stream that nearly equal an earlier row of another split, or a challenge row; see `joins_splits`.

    Args:
        base: fixed rows.
        challenge: fixed rows of a split of their own.
        stream: the rows in question, in the order they came.
        counts: False for rows that only wait: they join nothing.
        cosine: from here on two rows are nearly equal.
    """
    fixed = [base] if challenge is None else [base, challenge]
    features = np.concatenate([part.table.features for part in (*fixed, stream)])
    splits = [str(split) for split in base.table.splits or ()] + [CHALLENGE] * (len(challenge) if challenge else 0)
    n = len(splits)
    splits += [str(split) for split in stream.table.splits or ()]
    return joins_splits(features, splits, cosine, n, np.concatenate([np.ones(n, bool), counts]))[n:]


def _of_judged_groups(stream: Dataset, base: Dataset, challenge: Dataset | None) -> Mask:
    """Rows whose group the base or the challenge set judges by: what was chosen for being hard would bend that."""
    judging = {g for g, s in zip(base.table.groups, base.table.splits or (), strict=True) if s in _JUDGING}
    judging |= set(challenge.table.groups) if challenge is not None else set()
    return np.array([group in judging for group in stream.table.groups], bool)


def _notes(base: Dataset, aside: Dataset, capped: int, waiting: int, share: float) -> dict[str, object]:
    return {
        "base_rows": len(base),
        "set_aside": list(aside.table.ids),
        "capped": capped,
        "waiting_for_a_person": waiting,
        "stream_share": round(share, 4),
    }
