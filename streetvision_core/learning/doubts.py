"""Labels that are probably wrong, for whoever reviews them next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from streetvision_core.errors import StreetVisionError
from streetvision_core.learning.dataset import Dataset
from streetvision_core.mining.label_errors import doubts
from streetvision_core.mining.querylog import QueryRow

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DoubtedLabel:
    """A label that heads which never saw it contradict.

    Attributes:
        row: the query.
        given: the label it has, 1 road work, 0 none.
        quality: how well that label fits, in [0, 1].
    """

    row: QueryRow
    given: int
    quality: float

    @property
    def suggested(self) -> int:
        """The other label."""
        return 1 - self.given


def label_doubts(rows: Dataset, real: Dataset, seed: int) -> dict[str, tuple[float, bool]]:
    """Label quality and suspicion of labelled rows, by the query's name; empty where they cannot be judged.

    Args:
        rows: labelled queries.
        real: photographs to learn from beside them.
        seed: of the folds.
    """
    try:
        judged = doubts(rows.table, real.table, seed)
    except StreetVisionError as error:
        logger.warning("labels_not_judged", got=error.got, do=error.action)
        return {}
    return {name.rpartition("/")[2]: doubt for name, doubt in judged.items()}


def likely_label_errors(
    rows: Sequence[QueryRow], labels: Sequence[int | None], doubted: Mapping[str, tuple[float, bool]]
) -> list[DoubtedLabel]:
    """The queries whose label is suspect, worst first.

    Args:
        rows: the queries.
        labels: their labels, None where there is none.
        doubted: from `label_doubts`.
    """
    found = [
        DoubtedLabel(row, label, doubted[row.name][0])
        for row, label in zip(rows, labels, strict=True)
        if label is not None and doubted.get(row.name, (1.0, False))[1]
    ]
    return sorted(found, key=lambda one: one.quality)
