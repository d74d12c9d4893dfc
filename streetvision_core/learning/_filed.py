"""Labels as the nights' files hold them, for the dataset; the label store takes their place."""

from __future__ import annotations

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


def filed_labels(days: Path, queries: Sequence[QueryRow], upto_day: str = "9999") -> dict[str, FiledLabel]:
    """The labels that mining has filed, by the image's sha256; of two about one image the newest night's."""
    by_name, found = {query.name: query for query in queries}, {}
    for path in sorted(days.glob("????-??-??/mined.npz")):
        if path.parent.name > upto_day:
            continue
        table = FeatureTable.load(path)
        for name, label in zip(table.ids, table.labels.tolist(), strict=True):
            query = by_name.get(name.rpartition("/")[2])
            if query is not None:
                found[query.sha256] = FiledLabel(label, "machine" if query.truth is None else "renderer")
    return found
