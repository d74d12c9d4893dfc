"""Labels that nights before the label store have filed; the store holds all that came after them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streetvision_core.data.table import FeatureTable
from streetvision_core.labels.values import Source
from streetvision_core.mining.querylog import QueryRow


@dataclass(frozen=True, slots=True)
class FiledLabel:
    """A label and who gave it: `renderer` or `machine`; what people said lies in the label store."""

    label: int
    source: Source


def filed_labels(days: Path, queries: Sequence[QueryRow]) -> dict[str, FiledLabel]:
    """The labels that mining filed then, by the image's sha256; of two about one image the newest night's."""
    by_name, found = {query.name: query for query in queries}, {}
    for path in sorted(days.glob("????-??-??/mined.npz")):
        if _is_after_the_store(path.parent):
            continue
        table = FeatureTable.load(path)
        for name, label in zip(table.ids, table.labels.tolist(), strict=True):
            query = by_name.get(name.rpartition("/")[2])
            if query is not None:
                found[query.sha256] = FiledLabel(label, "machine" if query.truth is None else "renderer")
    return found


def _is_after_the_store(night: Path) -> bool:
    """Whether the night put its labels into the store: since then `weak.json` names images."""
    path = night / "weak.json"
    frames = json.loads(path.read_text())["frames"] if path.exists() else []
    return any("image" in frame for frame in frames)
