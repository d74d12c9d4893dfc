"""How good the whole recipe is on labelled photographs: trained again in each fold, unlike `evaluate`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from streetvision_core.cascade.crossval import cross_validate
from streetvision_core.learning.dataset import Dataset
from streetvision_core.settings import Settings
from streetvision_core.training.heads import progress_bar

UNSEEN_BY_DETECTORS: Final = "all, unseen by the detectors"
"""Photos of groups that trained no detector: the others' evidence may be too good."""
_ORIGIN_SHUFFLES: Final = 3


def evaluate_recipe(
    photos: Dataset,
    composed: Dataset,
    seen_groups: frozenset[str],
    settings: Settings,
    folds: int = 5,
    shuffles: int = 5,
) -> dict[str, Any]:
    """The whole recipe cross-validated on labelled photographs, natively and in each challenge era.

    Twice: over group folds, and with every origin answered by what learned from the other origins alone. Photos of
    weight 0 are answered, never learned from. Composed rows are learned from in the folds whose test rows do not hold
    their photo, and never scored.

    Args:
        photos: the rows to score (`photo_rows`).
        composed: rows that only teach.
        seen_groups: groups that trained a detector.
        settings: the recipe.
        folds: of the first kind.
        shuffles: of the folds.

    Returns:
        JSON-ready: the report of `cascade.crossval`, under `unseen_origins` that of the second kind, and how they were
        made.
    """
    table = Dataset.concat([photos, composed]).table
    scored = np.arange(len(table)) < len(photos)
    apart = {UNSEEN_BY_DETECTORS: ~np.isin(np.array(table.groups), sorted(seen_groups))}
    with progress_bar("cross-validating") as bar:
        known = cross_validate(
            table, settings, folds=folds, shuffles=shuffles, scored=scored, apart=apart, progress=bar
        )
    rounds = min(shuffles, _ORIGIN_SHUFFLES)
    with progress_bar("unseen origins") as bar:
        unseen = cross_validate(table, settings, shuffles=rounds, scored=scored, by_origin=True, progress=bar)
    policy = settings.cascade.policy
    native = sum(era == "native" for era in photos.table.eras)
    made = {"photos": native, "rows": len(photos), "profile": settings.profile}
    other = {"markdown": unseen.to_markdown(policy), **unseen.to_dict()}
    return {"made": made, "markdown": known.to_markdown(policy), **known.to_dict(), "unseen_origins": other}
