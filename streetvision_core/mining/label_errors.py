"""Labels that are probably wrong: what a head that never saw them says, judged by cleanlab's confident learning.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, MissingExtraError
from streetvision_core.mining._quick_head import Doubles, Space, fit_and_answer
from streetvision_core.training.folds import group_folds

FEWEST_PER_CLASS: Final = 10
_FOLDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class LabelErrors:
    """What is thought of N labels.

    Attributes:
        p: float64 [N], p(road work) by heads that saw neither the row nor its group.
        quality: float64 [N] in [0, 1]: how well the label fits; low is suspicious.
        suspect: bool [N], whether the label is probably an error.
    """

    p: Doubles
    quality: Doubles
    suspect: npt.NDArray[np.bool_]

    def worst(self) -> npt.NDArray[np.int64]:
        """Rows of the suspects, worst first."""
        rows = np.flatnonzero(self.suspect)
        return rows[np.argsort(self.quality[rows], kind="stable")]


def find_label_errors(table: FeatureTable, seed: int = 0) -> LabelErrors:
    """Judges every label of a table by heads fitted on the other groups.

    Args:
        table: N rows, all of them labelled.
        seed: of folds and space.

    Raises:
        DataError: a row has no label, or a class has fewer than 10 rows or stands in one group only.
        MissingExtraError: cleanlab is not installed.
    """
    counts = [int((table.labels == k).sum()) for k in (0, 1)]
    if sum(counts) != len(table) or min(counts) < FEWEST_PER_CLASS:
        raise DataError(
            got=f"{counts[0]} rows labelled 0, {counts[1]} labelled 1, {len(table) - sum(counts)} without a label",
            allowed=f"labels everywhere, at least {FEWEST_PER_CLASS} of each class",
            action="label more frames first",
        )
    p = cross_predict(table, seed)
    return judge(p, table.labels)


def doubts(rows: FeatureTable, others: FeatureTable, seed: int = 0) -> dict[str, tuple[float, bool]]:
    """Quality of each row's label, and whether it is suspect, by row id; judged beside labelled rows from elsewhere.

    Args:
        rows: labelled rows whose labels are in question.
        others: further rows, e.g. the photos of the starter pack; those without a label are left out.
        seed: of folds and space.
    """
    known = others.select(others.labels >= 0)
    errors = find_label_errors(FeatureTable.concat([replace(t, splits=None) for t in (rows, known)]), seed)
    pairs = zip(errors.quality.tolist(), errors.suspect.tolist(), strict=True)
    return dict(zip(rows.ids, pairs, strict=False))


def cross_predict(table: FeatureTable, seed: int = 0) -> Doubles:
    """p(road work) float64 [N] of each row by a head that saw neither it nor its group."""
    x = Space(table.features, seed)(table.features)
    strata = [f"{label}/{origin}" for label, origin in zip(table.labels, table.origins, strict=True)]
    fold = group_folds(table.groups, strata, _FOLDS, seed)
    p = np.full(len(table), np.nan)
    for k in range(_FOLDS):
        rest = fold != k
        if set(table.labels[rest].tolist()) != {0, 1}:
            raise DataError(
                got="a class that stands in one group only",
                allowed="each class in several groups",
                action="label frames of more places",
            )
        if (~rest).any():
            (p[~rest],) = fit_and_answer(x[rest], table.labels[rest], x[~rest])
    return p


def judge(p: Doubles, labels: npt.NDArray[np.int8]) -> LabelErrors:
    """Quality and suspects, from out-of-sample answers [N] and labels [N]."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError as error:
        raise MissingExtraError("cleanlab", "workbench") from error
    shares = np.stack([1.0 - p, p], axis=1)
    given = labels.astype(np.int64)
    suspect = find_label_issues(given, shares, filter_by="both", n_jobs=1)
    quality = get_label_quality_scores(given, shares, method="self_confidence")
    return LabelErrors(p, np.asarray(quality, np.float64), np.asarray(suspect, np.bool_))
