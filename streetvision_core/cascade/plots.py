"""Figures of a report, in Okabe and Ito's colour-blind safe colours; every axis has a label and a unit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streetvision_core.cascade.report import CascadeReport
from streetvision_core.types import Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGE_COLOURS: Final[Mapping[Stage, str]] = MappingProxyType(
    {"classifier": "#0072B2", "detectors": "#E69F00", "vlm": "#CC79A7", "ocr": "#009E73"}
)
_WRONG: Final = "#D55E00"
_GREY: Final = "#666666"


def plot_report(report: CascadeReport) -> Figure:
    """Reliability, coverage and risk, exits by stage, and latency in one figure."""
    figure: Figure
    figure, axes = _subplots(2, 2, (11.0, 8.0))
    plot_reliability(report, axes[0, 0])
    plot_risk(report, axes[0, 1])
    plot_exits(report, axes[1, 0])
    plot_latency(report, axes[1, 1])
    figure.suptitle(f"Policy {report.policy}: {report.overall.n} frames in {report.overall.groups} groups")
    figure.tight_layout()
    return figure


def plot_reliability(report: CascadeReport, axes: Axes | None = None) -> Axes:
    """Calibrated probability against frequency, with exact 95 % intervals."""
    from streetvision_core.scoring.intervals import clopper_pearson

    ax = axes if axes is not None else _axes()
    p, share, counts = (np.array(column) for column in zip(*report.curves.reliability, strict=True))
    bounds = np.array([clopper_pearson(round(s * n), int(n)) for s, n in zip(share, counts, strict=True)])
    spread = np.abs(np.stack([share - bounds[:, 0], bounds[:, 1] - share]))
    ax.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="perfectly calibrated")
    ax.errorbar(
        p, share, yerr=spread, fmt="o", color=STAGE_COLOURS["classifier"], capsize=2, label="bins of equal mass"
    )
    return _finish(ax, "calibrated probability of road work", "share of road work in the bin", "Reliability")


def plot_risk(report: CascadeReport, axes: Axes | None = None) -> Axes:
    """Error among the surest frames against their share."""
    ax = axes if axes is not None else _axes()
    coverage, risk = zip(*report.curves.risk, strict=True)
    ax.plot(
        coverage, risk, color=STAGE_COLOURS["classifier"], label=f"AUGRC {report.overall.metrics['augrc'].point:.3f}"
    )
    ax.set_ylim(bottom=0)
    return _finish(ax, "coverage (share of frames, surest first)", "error among them (share)", "Coverage and risk")


def plot_exits(report: CascadeReport, axes: Axes | None = None) -> Axes:
    """Where frames end, right and wrong; hatched where the exit was certified."""
    ax = axes if axes is not None else _axes()
    names = [stage.stage for stage in report.stages]
    wrong = np.array([stage.errors for stage in report.stages])
    certified = np.array([stage.certified_exits - stage.certified_errors for stage in report.stages])
    right = np.array([stage.exits for stage in report.stages]) - wrong - certified
    colours = [STAGE_COLOURS[name] for name in names]
    ax.bar(names, certified, color=colours, hatch="//", edgecolor="white", label="right, certified exit")
    ax.bar(names, right, bottom=certified, color=colours, alpha=0.6, label="right, not certified")
    ax.bar(names, wrong, bottom=certified + right, color=_WRONG, label="wrong")
    for x, stage in enumerate(report.stages):
        ax.text(x, stage.exits, f"{stage.coverage:.0%}", ha="center", va="bottom")
    return _finish(ax, "stage", "frames ended here", "Exits by stage")


def plot_latency(report: CascadeReport, axes: Axes | None = None) -> Axes:
    """Median and 99th percentile of each stage's time on a frame."""
    ax = axes if axes is not None else _axes()
    timed = [stage for stage in report.stages if np.isfinite(stage.median_ms)]
    if not timed:
        ax.text(0.5, 0.5, "times were not measured", ha="center", va="center", transform=ax.transAxes)
        return _finish(ax, "stage", "milliseconds per frame", "Latency", legend=False)
    places = np.arange(len(timed))
    colours = [STAGE_COLOURS[stage.stage] for stage in timed]
    ax.bar(places - 0.2, [stage.median_ms for stage in timed], 0.4, color=colours, label="median")
    ax.bar(places + 0.2, [stage.p99_ms for stage in timed], 0.4, color=colours, alpha=0.5, label="99th percentile")
    ax.set_xticks(places, [stage.stage for stage in timed])
    ax.set_yscale("log")
    return _finish(ax, "stage", "milliseconds per frame (log)", "Latency")


def plot_slices(report: CascadeReport, metric: str = "mcc", axes: Axes | None = None) -> Axes:
    """One metric over origins and eras, with 95 % intervals over groups."""
    ax = axes if axes is not None else _axes()
    slices = [s for s in (report.overall, *report.by_origin, *report.by_era) if np.isfinite(s.metrics[metric].point)]
    for place, one in enumerate(slices):
        found = one.metrics[metric]
        ax.plot([found.low, found.high], [place, place], color=_GREY)
        ax.plot(found.point, place, "o", color=STAGE_COLOURS["classifier"])
    ax.set_yticks(range(len(slices)), [f"{one.name} (n={one.n})" for one in slices])
    ax.invert_yaxis()
    return _finish(ax, f"{metric} (95 % interval over groups)", "rows", f"{metric} by origin and era", legend=False)


def _finish(ax: Axes, x: str, y: str, title: str, *, legend: bool = True) -> Axes:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title)
    if legend:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _axes() -> Any:
    return _subplots(1, 1, (5.5, 4.0))[1]


def _subplots(rows: int, columns: int, size: tuple[float, float]) -> Any:
    from matplotlib import pyplot as plt

    return plt.subplots(rows, columns, figsize=size)
