"""What the loop has forgotten: the best any version ever was on the base photos, against the one that serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from streetvision_core.cascade.decisions import Decisions
from streetvision_core.learning.compare import Comparison
from streetvision_core.learning.watch import Memory, MemoryRow
from streetvision_core.storage import atomic_write_json

Accuracies = Mapping[str, Mapping[str, Any]]
"""By version and origin: photos, and the share of them answered right."""
MEMORY_FILE: Final = "memory.json"
_ALL: Final = "all real photos"


def load_memory(data: Path) -> Accuracies:
    """Accuracy by version and origin, of all versions ever compared; empty before the first."""
    path = data / MEMORY_FILE
    return json.loads(path.read_text()) if path.exists() else {}


def record_memory(data: Path, known: Accuracies) -> None:
    """Keeps what `with_comparison` gave."""
    atomic_write_json(data / MEMORY_FILE, known)


def with_comparison(known: Accuracies, comparison: Comparison) -> Accuracies:
    """What is known, and both versions of a comparison."""
    both = (comparison.champion, comparison.champion_answers), (comparison.challenger, comparison.challenger_answers)
    return {**known, **{version.name: _accuracy(comparison, answers) for version, answers in both}}


def measure_memory(known: Accuracies, serving: str, notes: Mapping[str, Any]) -> Memory:
    """Forgetting by origin on the real TEST photos: the best any version ever was, against the one that serves.

    Args:
        known: of all versions, `serving` among them.
        serving: the version that serves from now on.
        notes: of the dataset: how much of the weight the stream has.
    """
    rows = []
    for origin, (n, accuracy) in known[serving].items():
        # Accuracies on other photos, from before the pack changed, do not compare.
        best, version = max((had[origin][1], name) for name, had in known.items() if had.get(origin, [0])[0] == n)
        rows.append(MemoryRow(origin, n, best, version, accuracy, round(best - accuracy, 4)))
    return Memory(serving, tuple(rows), notes.get("stream_share", 0.0), notes.get("capped", 0))


def _accuracy(comparison: Comparison, answers: Decisions) -> dict[str, tuple[int, float]]:
    table, real = comparison.test.table, comparison.rows_of(rendered=False)
    right, origins = (answers.p > 0.5) == (table.labels == 1), np.array(table.origins)
    masks = {_ALL: real} | {str(name): real & (origins == name) for name in sorted(set(origins[real]))}
    return {name: (int(mask.sum()), round(float(right[mask].mean()), 4)) for name, mask in masks.items() if mask.any()}
