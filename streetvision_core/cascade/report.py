"""What an evaluation says; frozen, JSON-ready, drawn by `plots`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streetvision_core.scoring.intervals import Interval
from streetvision_core.types import Stage


@dataclass(frozen=True, slots=True)
class StageReport:
    """How one stage did.

    Attributes:
        stage: the stage.
        ran: frames it ran on.
        exits: frames it ended, by a decision or because nothing came after it.
        coverage: exits over all frames.
        errors: wrong answers among the exits.
        error: errors over exits with its exact 95 % interval; NaN without exits.
        certified_exits: exits in a certified band.
        certified_errors: wrong answers among those.
        certified_error: with its exact 95 % interval.
        median_ms: time of the stage on a frame it ran on, in milliseconds; NaN if not measured.
        p99_ms: the same, 99th percentile.
        mean_ms: the same, mean.
        relative_cost: its share of the cost of running every stage on every frame; NaN if not measured.
    """

    stage: Stage
    ran: int
    exits: int
    coverage: float
    errors: int
    error: Interval
    certified_exits: int
    certified_errors: int
    certified_error: Interval
    median_ms: float = math.nan
    p99_ms: float = math.nan
    mean_ms: float = math.nan
    relative_cost: float = math.nan


@dataclass(frozen=True, slots=True)
class SliceReport:
    """Metrics of some rows: all of them, one origin, one era.

    Attributes:
        name: what the rows have in common.
        n: rows.
        groups: independent groups among them.
        positives: rows with road work.
        metrics: by name (`accuracy`, `f1`, `mcc`, `recall`, `false_alarm_rate`, `auc`, `brier`, `ece`, `augrc`; overall
            also `sn72`, `sn34`), each with its 95 % interval over groups; bounds are NaN where none was computed, and
            all three where the rows hold one class only and the metric needs two.
    """

    name: str
    n: int
    groups: int
    positives: int
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class CostReport:
    """What the cascade costs against running every stage on every frame.

    Attributes:
        mean_ms: mean time of a frame; NaN if not measured.
        every_stage_ms: mean time of a frame if every stage ran; NaN if not measured.
        relative: mean_ms / every_stage_ms; NaN if not measured.
        every_stage_mcc: MCC of the every-stage reference; NaN if it was not run.
    """

    mean_ms: float = math.nan
    every_stage_ms: float = math.nan
    relative: float = math.nan
    every_stage_mcc: float = math.nan


@dataclass(frozen=True, slots=True)
class Curves:
    """Points to draw.

    Attributes:
        reliability: mean calibrated probability, share of road work and rows of each bin.
        risk: coverage and error among the surest rows, from the surest to all.
    """

    reliability: tuple[tuple[float, float, int], ...] = ()
    risk: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class CascadeReport:
    """A whole evaluation.

    Attributes:
        policy: whose decisions.
        overall: all rows.
        by_origin: per data set.
        by_era: per image regime.
        stages: per stage that ran.
        absent: stages that were not there, and why.
        cost: against every stage on every frame.
        curves: points to draw.
    """

    policy: str
    overall: SliceReport
    by_origin: tuple[SliceReport, ...]
    by_era: tuple[SliceReport, ...]
    stages: tuple[StageReport, ...]
    absent: Mapping[Stage, str]
    cost: CostReport
    curves: Curves = field(default_factory=Curves)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form: NaN becomes None."""
        return dict(plain(self))


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as JSON-ready values; floats rounded to six decimals, NaN as None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
