"""The day's labels that are probably wrong, for whoever reviews them next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import StreetVisionError
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.mining import MINED_FILE, MinedDay
from streetvision_core.loop.tasks.tables import real_table
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


def label_doubts(day: Day) -> dict[str, tuple[float, bool]]:
    """Label quality and suspicion of the day's labelled rows, by row name; empty where they cannot be judged."""
    try:
        told = doubts(FeatureTable.load(day.folder / MINED_FILE), real_table(), day.settings.seed)
    except StreetVisionError as error:
        logger.warning("labels_not_judged", got=error.got, do=error.action)
        return {}
    return {name.rpartition("/")[2]: doubt for name, doubt in told.items()}


def likely_label_errors(mined: MinedDay, doubted: Mapping[str, tuple[float, bool]]) -> list[DoubtedLabel]:
    """The mined frames whose label is suspect, worst first.

    Args:
        mined: the day's frames and labels.
        doubted: from `label_doubts`.
    """
    found = [
        DoubtedLabel(row, label, doubted[row.name][0])
        for row, label in zip(mined.rows, mined.labels, strict=True)
        if label is not None and doubted.get(row.name, (1.0, False))[1]
    ]
    return sorted(found, key=lambda one: one.quality)
