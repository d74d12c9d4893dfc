"""What of the query log is too old or too much, and the room there is for more."""

from __future__ import annotations

import shutil
from collections.abc import Container
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from streetvision_core.mining.querylog import QueryLog
from streetvision_core.settings import RetentionSettings

GIB: Final = 2**30
AFTER_PRUNING: Final = 0.9
"""The night leaves room for a day: it prunes to this share of `max_gib`."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went.

    Attributes:
        too_old: queries older than `keep_days`.
        too_much: queries that went because the images weighed too much or the disk was too full.
        image_bytes: what the images weigh now.
        free_bytes: free space on their disk now.
    """

    too_old: int
    too_much: int
    image_bytes: int
    free_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return asdict(self)


def prune_log(log: QueryLog, rules: RetentionSettings, now: datetime, protected: Container[str]) -> Pruned:
    """Deletes what the rules no longer keep: first the old, then the oldest until size and free space are right.

    Args:
        log: the query log.
        rules: how much is kept.
        now: an aware time.
        protected: digests of images that stay, such as those a person labelled.
    """
    too_old = log.prune(rules.keep_days, now, protected)
    weight, free = log.images.total_bytes(), free_bytes(log.root)
    target = weight
    if weight > rules.max_gib * GIB:
        target = int(AFTER_PRUNING * rules.max_gib * GIB)
    target = max(0, min(target, weight - int(rules.min_free_gib * GIB - free)))
    too_much = log.shrink(target, protected) if target < weight else 0
    return Pruned(too_old, too_much, log.images.total_bytes(), free_bytes(log.root))


def free_bytes(folder: Path) -> int:
    """Free space on the disk of a folder, or of the nearest folder above that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
