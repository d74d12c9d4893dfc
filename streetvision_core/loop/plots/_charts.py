"""Figures that show numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from streetvision_core.loop.plots._style import BLUE, CYCLE, GREEN, GREY, ORANGE, RED, SKY, axes
from streetvision_core.scoring.intervals import clopper_pearson
from streetvision_core.types import STAGES, Split

if TYPE_CHECKING:
    from streetvision_core.cascade.clip import ClipVerdict
    from streetvision_core.compression.report import CompressionReport
    from streetvision_core.data.table import FeatureTable
    from streetvision_core.learning.mine import Mined
    from streetvision_core.loop.report.fields import Estimate
    from streetvision_core.loop.report.models import Change
    from streetvision_core.loop.report.week import WeekStory
    from streetvision_core.mining.hardness import HardnessScores
    from streetvision_core.mining.querylog import QueryRow
    from streetvision_core.mining.select import MinedSet
    from streetvision_core.training.heads import TrainedHead


def splits(table: FeatureTable) -> Any:
    """Rows of each split by origin and label."""
    origins = sorted(set(table.origins))
    kinds = [(split, label) for split in Split for label in (1, 0)]
    with axes(1, 1, 8, 0.6 * len(origins) + 1.6) as (figure, grid):
        axis, left = np.ravel(grid)[0], np.zeros(len(origins))
        for number, (split, label) in enumerate(kinds):
            rows = Counter(
                origin
                for origin, s, y in zip(table.origins, table.splits or (), table.labels, strict=True)
                if s == split and y == label
            )
            widths = np.array([rows[origin] for origin in origins])
            colour, hatch = CYCLE[number // 2], "" if label else "///"
            name = f"{split}, {'road work' if label else 'none'}"
            axis.barh(origins, widths, left=left, color=colour, hatch=hatch, edgecolor="white", label=name)
            left += widths
        axis.set_xlabel("rows")
        axis.legend(ncol=4, fontsize=7, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return figure


def projection(table: FeatureTable, seed: int = 0) -> Any:
    """The features on their first two principal components, by label and by origin."""
    from sklearn.decomposition import PCA

    xy = PCA(2, random_state=seed).fit_transform(table.features)
    with axes(1, 2, 10, 4) as (figure, grid):
        left, right = np.ravel(grid)
        for label, colour, name in ((1, ORANGE, "road work"), (0, BLUE, "none")):
            left.scatter(*xy[table.labels == label].T, s=6, alpha=0.5, color=colour, label=name)
        for origin, colour in zip(sorted(set(table.origins)), CYCLE * 3, strict=False):
            right.scatter(*xy[np.array(table.origins) == origin].T, s=6, alpha=0.5, color=colour, label=origin)
        for axis, title in ((left, "by label"), (right, "by origin")):
            axis.set(title=title, xlabel="first component", ylabel="second component")
            axis.legend(fontsize=7)
    return figure


def leaderboard(trained: TrainedHead, count: int = 15) -> Any:
    """The best candidates by MCC on SELECT."""
    board = [candidate.to_dict() for candidate in trained.leaderboard[:count]][::-1]
    with axes(1, 1, 8, 0.28 * len(board) + 1.2) as (figure, grid):
        axis = np.ravel(grid)[0]
        axis.barh([entry["name"] for entry in board], [entry["select_mcc"] for entry in board], color=BLUE)
        axis.set_xlabel("MCC on SELECT")
        axis.tick_params(axis="y", labelsize=7)
    return figure


def compression(reports: Mapping[str, CompressionReport]) -> Any:
    """Milliseconds of each model in fp32 and of its int8 copies."""
    with axes(1, len(reports), 4.2 * len(reports), 2.2) as (figure, grid):
        for axis, (model, report) in zip(np.ravel(grid), reports.items(), strict=True):
            timings = {"fp32": report.fp32_timing} | {f"int8-{c.method}": c.timing for c in report.candidates}
            timed = {name: timing.median_seconds * 1000 for name, timing in timings.items() if timing is not None}
            colours = [GREEN if name == report.kept else GREY for name in timed]
            axis.barh(list(timed), list(timed.values()), color=colours)
            axis.set(title=model, xlabel="milliseconds an inference, median\n(green: kept, or passed)")
            axis.invert_yaxis()
    return figure


def traffic(rows: Sequence[QueryRow]) -> Any:
    """Answers of the day: the probabilities, and where and how fast they left."""
    with axes(1, 2, 10, 3.2) as (figure, grid):
        left, right = np.ravel(grid)
        for truth, colour, name in ((1, ORANGE, "road work"), (0, BLUE, "none"), (None, GREY, "truth unknown")):
            p = [row.verdict.p_roadwork for row in rows if row.truth == truth]
            if p:
                left.hist(p, bins=20, range=(0, 1), alpha=0.65, color=colour, label=name)
        left.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
        left.set(xlabel="answered probability of road work", ylabel="queries")
        left.legend(fontsize=8)
        times = {s: [r.verdict.seconds * 1000 for r in rows if r.verdict.exit_stage == s] for s in STAGES}
        shown = {stage: values for stage, values in times.items() if values}
        right.boxplot(
            list(shown.values()), tick_labels=[f"{s}\n({len(v)})" for s, v in shown.items()], showfliers=False
        )
        right.set(ylabel="milliseconds to the answer", xlabel="stage of exit (queries)")
    return figure


def hardness(scores: HardnessScores, choice: MinedSet) -> Any:
    """How hard the queries were, and what was chosen."""
    chosen = [item.row for item in choice.items]
    with axes(1, 2, 10, 3.2) as (figure, grid):
        left, right = np.ravel(grid)
        left.hist(scores.total, bins=25, range=(0, 1), color=GREY, label="all queries")
        left.hist(scores.total[chosen], bins=25, range=(0, 1), color=ORANGE, label="chosen")
        left.set(xlabel="hardness (weighted rank, 0 to 1)", ylabel="queries")
        left.legend(fontsize=8)
        reasons = choice.reason_counts()
        right.barh(list(reasons)[::-1], list(reasons.values())[::-1], color=BLUE)
        right.set_xlabel("chosen frames by main reason")
    return figure


def modes(found: Mined) -> Any:
    """Failure modes among the chosen frames, and the champion's errors in each."""
    counts = found.mode_counts
    wrong: Counter[str] = Counter(m for ms, bad in zip(found.modes, found.wrong, strict=True) if bad for m in ms)
    with axes(1, 1, 7, 0.35 * max(1, len(counts)) + 1.2) as (figure, grid):
        axis, names = np.ravel(grid)[0], list(counts)[::-1]
        axis.barh(names, [counts[name] for name in names], color=BLUE, label="chosen frames")
        axis.barh(names, [wrong[name] for name in names], color=RED, label="champion wrong")
        axis.set_xlabel("frames showing the mode")
        axis.legend(fontsize=8)
    return figure


def comparison(change: Change) -> Any:
    """Champion and challenger with intervals, one panel per set."""
    sets = list(dict.fromkeys(row.data for row in change.comparisons))
    with axes(1, max(1, len(sets)), 10, 3.2) as (figure, grid):
        for axis, data in zip(np.ravel(grid), sets, strict=False):
            rows = [row for row in change.comparisons if row.data == data][::-1]
            for offset, colour, who in ((0.12, GREY, "champion"), (-0.12, BLUE, "challenger")):
                for y, row in enumerate(rows):
                    _interval(axis, getattr(row, who), y + offset, colour, who if y == 0 else None)
            axis.set_yticks(range(len(rows)), [row.metric for row in rows])
            axis.set(title=f"{data} (n = {rows[0].n})", xlabel="value, 95 % interval")
            axis.legend(fontsize=8)
    return figure


def timeline(answer: ClipVerdict, labels: Sequence[tuple[float, int | None]] = (), title: str = "") -> Any:
    """A video's answers over time: frames, smoothed score, stretches found, and the labels where there are any.

    Args:
        answer: the verdict over time.
        labels: (seconds, 1 road work, 0 none, None ambiguous).
        title: above it.
    """
    with axes(1, 1, 9, 2.6) as (figure, grid):
        axis = np.ravel(grid)[0]
        for start, end in answer.examined:
            part = [moment for moment in answer.timeline if start <= moment.seconds <= end]
            times = [moment.seconds for moment in part]
            first = start == answer.examined[0][0]
            axis.plot(times, [m.smoothed for m in part], color=BLUE, label="smoothed" if first else None)
        times = [moment.seconds for moment in answer.timeline]
        axis.plot(times, [m.verdict.p_roadwork for m in answer.timeline], ".", color=GREY, label="single frames")
        if answer.screening:
            axis.plot(*np.array(answer.screening).T, color=SKY, linewidth=0.8, label="index, all frames")
        for number, segment in enumerate(answer.segments):
            name = "road work found" if number == 0 else None
            axis.axvspan(segment.start_seconds, segment.end_seconds, color=ORANGE, alpha=0.25, label=name)
        kinds = (
            (1, "s", RED, "label: road work"),
            (0, "_", GREEN, "label: none"),
            (None, "x", GREY, "label: ambiguous"),
        )
        for value, marker, colour, name in kinds:
            at = [seconds for seconds, label in labels if label == value]
            if at:
                axis.plot(at, [-0.12] * len(at), marker, markersize=5, color=colour, label=name)
        axis.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
        rest = {"ylim": (-0.2, 1.05), "xlim": (0, answer.seconds), "title": title}
        axis.set(xlabel="seconds", ylabel="score of road work", **rest)
        axis.set_yticks([-0.12, 0, 0.25, 0.5, 0.75, 1] if labels else [0, 0.25, 0.5, 0.75, 1])
        axis.set_yticklabels([*(["labels"] if labels else []), "0", "0.25", "0.5", "0.75", "1"])
        axis.legend(fontsize=7, ncol=2, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def week(story: WeekStory) -> Any:
    """MCC before the first and after each day, on held-out rendered scenes and on real TEST photos."""
    days = [*(["before"] if story.start else []), *(day.day.isoformat() for day in story.days)]
    with axes(1, 1, 8, 3.4) as (figure, grid):
        axis = np.ravel(grid)[0]
        for name, colour, shift in (("mcc_rendered", ORANGE, -0.04), ("mcc_real", BLUE, 0.04)):
            told = [(i, getattr(day, name)) for i, day in enumerate(story.points)]
            points = [(i, e) for i, e in told if e is not None and e.value is not None]
            label = "rendered, held out" if name == "mcc_rendered" else "real photos, TEST"
            axis.plot([i + shift for i, _ in points], [e.value for _, e in points], "o-", color=colour, label=label)
            for i, e in points:
                if e.low is not None and e.high is not None:
                    axis.plot([i + shift] * 2, [e.low, e.high], color=colour, linewidth=1)
        axis.set_xticks(range(len(days)), days, rotation=20)
        axis.set(ylabel="MCC, 95 % interval", xlabel="day")
        axis.legend(fontsize=8)
    return figure


def _interval(axis: Any, estimate: Estimate, y: float, colour: str, label: str | None) -> None:
    if estimate.value is None:
        return
    if estimate.low is not None and estimate.high is not None:
        axis.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=2)
    axis.plot([estimate.value], [y], "o", color=colour, label=label)


def mode_accuracy(days: Sequence[tuple[str, Mapping[str, tuple[int, int]]]], fewest: int = 5) -> Any:
    """Share of right answers per failure mode over days, with exact 95 % intervals.

    Args:
        days: the day and, by mode, (answered right, answered), oldest first.
        fewest: a mode with fewer frames on a day has no point there.
    """
    totals: Counter[str] = Counter()
    for _, by_mode in days:
        totals.update({mode: n for mode, (_, n) in by_mode.items()})
    modes = [mode for mode, _ in totals.most_common()]
    columns = min(4, max(1, len(modes)))
    rows = max(1, -(-len(modes) // columns))
    with axes(rows, columns, 2.6 * columns, 2.1 * rows + 0.3) as (figure, grid):
        flat = np.ravel(grid)
        for axis in flat[len(modes) :]:
            axis.axis("off")
        for axis, mode in zip(flat, modes, strict=False):
            known = [
                (i, *by_mode[mode]) for i, (_, by_mode) in enumerate(days) if by_mode.get(mode, (0, 0))[1] >= fewest
            ]
            for i, right, n in known:
                low, high = clopper_pearson(right, n)
                axis.plot([i, i], [low, high], color=GREY, linewidth=1.5)
            axis.plot([i for i, *_ in known], [right / n for _, right, n in known], "o-", color=BLUE, markersize=4)
            axis.set(title=f"{mode} ({totals[mode]} frames)", ylim=(-0.03, 1.03), xlim=(-0.5, len(days) - 0.5))
            axis.set_xticks(range(len(days)), [day[-5:] for day, _ in days], rotation=45, fontsize=7)
        for axis in flat[::columns]:
            axis.set_ylabel("answered right (share)")
    return figure
