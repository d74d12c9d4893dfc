"""How good a version is on a dataset, whole and in slices, with intervals over groups. Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streetvision_core.cascade._measure import measure_slice
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.evaluation import RESAMPLES, evaluate_table
from streetvision_core.cascade.report import CascadeReport, SliceReport, plain
from streetvision_core.learning.dataset import Dataset, Mask
from streetvision_core.learning.versions import Version
from streetvision_core.mining.querylog import QueryRow
from streetvision_core.types import STAGES, Stage

if TYPE_CHECKING:
    import pandas as pd

SIZES_PIXELS: Final = (256, 640, 1280)
"""Bounds of the longer side between the slices by size."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A version on labelled rows.

    Attributes:
        version: its name.
        dataset: digest of the rows.
        report: the whole, by origin, by era, and stage by stage.
        by_world: photographs and rendered frames.
        by_mode: failure modes, as far as they are known of a row.
        by_size: longer side of the image, as far as it is known.
    """

    version: str
    dataset: str
    report: CascadeReport
    by_world: tuple[SliceReport, ...]
    by_mode: tuple[SliceReport, ...]
    by_size: tuple[SliceReport, ...]

    def slices(self) -> dict[str, tuple[SliceReport, ...]]:
        """All slices by what they slice by; the whole comes first."""
        report = self.report
        first = {"all": (report.overall,), "world": self.by_world, "origin": report.by_origin, "era": report.by_era}
        return {**first, "failure mode": self.by_mode, "size": self.by_size}

    def to_pandas(self) -> pd.DataFrame:
        """One row a slice: rows, groups and each metric."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"by": by, "slice": one.name, "rows": one.n, "groups": one.groups, "positives": one.positives}
                | {name: interval.point for name, interval in one.metrics.items()}
                for by, parts in self.slices().items()
                for one in parts
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form; the report's own fields stand at its top."""
        more = {"by_world": self.by_world, "by_mode": self.by_mode, "by_size": self.by_size}
        return {"version": self.version, "dataset": self.dataset, **self.report.to_dict(), **dict(plain(more))}


def evaluate(
    version: Version,
    dataset: Dataset,
    policy: str,
    *,
    stage_seconds: Mapping[Stage, float] | None = None,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Lets a version answer the labelled rows of a dataset.

    Args:
        version: the version.
        dataset: the rows, e.g. those of TEST.
        policy: the exit policy.
        stage_seconds: seconds each stage takes of a frame, if measured.
        resamples: bootstrap samples of each interval.

    Raises:
        DataError: no row has a label.
    """
    known = dataset.labelled()
    head, calibration = version.head, version.calibration
    report = evaluate_table(known.table, head, calibration, policy, stage_seconds=stage_seconds, resamples=resamples)
    answers = version.answer(known, policy)
    worlds = {name: np.array([row.world == name for row in known.rows], bool) for name in ("real", "rendered")}
    modes = {mode: np.array([mode in row.modes for row in known.rows], bool) for mode in _modes(known)}
    return Evaluation(
        version.name,
        dataset.digest,
        report,
        _measured(known, answers, worlds, resamples),
        _measured(known, answers, modes, resamples),
        _measured(known, answers, _sizes(known), resamples),
    )


def stage_seconds(queries: Sequence[QueryRow]) -> dict[Stage, float] | None:
    """Median seconds each stage took on logged queries; None before there are any."""
    times: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
    for query in queries:
        for evidence in query.verdict.evidence:
            times[evidence.stage].append(evidence.seconds)
    return {stage: float(np.median(spent)) for stage, spent in times.items() if spent} or None


def _measured(
    dataset: Dataset, answers: Decisions, masks: Mapping[str, Mask], resamples: int
) -> tuple[SliceReport, ...]:
    table, made = dataset.table, []
    for name, mask in masks.items():
        rows = np.flatnonzero(mask)
        if len(rows):
            groups = [table.groups[i] for i in rows]
            y = table.labels[rows].astype(np.int64)
            made.append(measure_slice(name, answers.select(rows), y, groups, resamples, full=False))
    return tuple(made)


def _modes(dataset: Dataset) -> list[str]:
    return sorted({mode for row in dataset.rows for mode in row.modes})


def _sizes(dataset: Dataset) -> dict[str, Mask]:
    longer = np.array([max(row.width, row.height) for row in dataset.rows], np.int64)
    bounds = (0, *SIZES_PIXELS)
    masks = {f"{low + 1} to {high} pixels": (longer > low) & (longer <= high) for low, high in pairwise(bounds)}
    return {**masks, f"over {bounds[-1]} pixels": longer > bounds[-1]}
