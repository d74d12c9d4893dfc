"""Figures about labels: what they cost, and which of them are doubted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from streetvision_core.loop.plots._style import BLUE, GREY, ORANGE, axes, sheet

if TYPE_CHECKING:
    from streetvision_core.learning.doubts import DoubtedLabel
    from streetvision_core.mining.efficiency import LabelCurves
    from streetvision_core.types import Frame

_COLOURS = {"mined": BLUE, "uncertain": ORANGE, "random": GREY}
_WORDS = ("none", "road work")


def label_curves(curves: Mapping[str, LabelCurves]) -> Any:
    """MCC on unseen groups after so many labels, one panel per stream, 95 % bands over seeds."""
    with axes(1, len(curves), 5.4 * len(curves), 3.6) as (figure, grid):
        for axis, (name, curve) in zip(np.ravel(grid), curves.items(), strict=True):
            for strategy in curve.mcc:
                mean, low, high = curve.band(strategy)
                axis.plot(curve.labels, mean, "o-", markersize=3, color=_COLOURS[strategy], label=strategy)
                axis.fill_between(curve.labels, low, high, color=_COLOURS[strategy], alpha=0.15, linewidth=0)
            seeds = len(curve.mcc["random"])
            axis.set(title=f"{name} ({seeds} seeds)", xlabel="labels paid for", ylabel="MCC on unseen groups, 95 %")
            axis.legend(fontsize=8)
    return figure


def label_ratios(ratios: Sequence[Mapping[str, Any]]) -> Any:
    """Labels random choice needs for each one of ours, with intervals; right of 1 choosing pays."""
    known = [row for row in ratios if row["ratio"] is not None]
    with axes(1, 1, 8, 0.32 * max(1, len(known)) + 1.2) as (figure, grid):
        axis = np.ravel(grid)[0]
        for y, row in enumerate(known[::-1]):
            colour = _COLOURS[row["strategy"]]
            axis.plot(row["ratio"], y, "o", color=colour)
            if row["low"] is not None:
                axis.plot([row["low"], row["high"]], [y, y], color=colour)
        names = [f"{row['stream']}, {row['strategy']}: MCC {row['mcc']:g}" for row in known[::-1]]
        axis.set_yticks(range(len(known)), names)
        axis.axvline(1.0, color="black", linewidth=0.8, linestyle=":")
        axis.set_xlabel("labels random choice needs for one of ours, 95 % over seeds")
    return figure


def label_errors(found: Sequence[DoubtedLabel], frames: Mapping[str, Frame]) -> Any:
    """The labels most in doubt: the picture, the label given, the label suggested.

    Args:
        found: from `likely_label_errors`, those that are shown.
        frames: their images by the query's name.
    """
    captions = [f"{one.row.name}\ngiven: {_WORDS[one.given]}, suggested: {_WORDS[one.suggested]}" for one in found]
    title = "likely label errors, worst first" if found else "no label of the night is in doubt"
    return sheet([frames[one.row.name].pixels for one in found], captions, 6, title)
