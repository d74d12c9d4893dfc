"""What the loop has forgotten: the best any version ever was on the base photos, against the one that serves."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from streetvision_core.loop.report.watch import Memory, MemoryRow
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.promotion import Contest
from streetvision_core.loop.tasks.tables import balanced_stream
from streetvision_core.storage import atomic_write_json

FILE: Final = "memory.json"
_ALL: Final = "all real photos"


def measure_memory(day: Day, contest: Contest, serving: str) -> Memory:
    """Forgetting per origin on the real TEST photos; the accuracies of both versions are kept in `data/memory.json`.

    Args:
        day: the day.
        contest: both versions on the TEST rows.
        serving: the name of the version that serves from now on, one of the two.
    """
    path = day.workspace.data / FILE
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    known |= {contest.champion.name: _accuracy(contest, champion=True)}
    known |= {contest.challenger.name: _accuracy(contest, champion=False)}
    atomic_write_json(path, known)
    # Accuracies on other photos, from before the pack changed, do not compare.
    now = known[serving]
    rows = []
    for origin, (n, accuracy) in now.items():
        best, version = max((had[origin][1], name) for name, had in known.items() if had.get(origin, [0])[0] == n)
        rows.append(MemoryRow(origin, n, best, version, accuracy, round(best - accuracy, 4)))
    stream = balanced_stream(day)
    return Memory(serving, tuple(rows), round(stream.share, 4), stream.capped)


def _accuracy(contest: Contest, *, champion: bool) -> dict[str, tuple[int, float]]:
    real = contest.rows_of(rendered=False)
    says = contest.champion_says if champion else contest.challenger_says
    right = (says.p > 0.5) == (contest.test.labels == 1)
    origins = np.array(contest.test.origins)
    masks = {_ALL: real} | {str(name): real & (origins == name) for name in sorted(set(origins[real]))}
    return {name: (int(mask.sum()), round(float(right[mask].mean()), 4)) for name, mask in masks.items() if mask.any()}
