"""Certifies the exit bands of successive stages, each on the rows that the earlier ones leave.

One row of each group is drawn once; stage 1 is certified on these, stage 2 on those of them that stage 1 does not let
out. The chance of failure delta is shared by the stages, so that with probability 1 - delta every certificate of the
cascade holds. Which rows stage 2 is tested on depends on where stage 1's band ended, that is on labels within one step
of the grid beyond it; the tests simulate both stages together to show that this does not spoil the guarantee.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from streetvision_core.calibration.arrays import Array, Mask, sigmoid
from streetvision_core.calibration.exits import ExitBand, certify_band, one_row_per_group
from streetvision_core.types import Stage


def certify_stages(
    scores: Mapping[Stage, Array],
    y: npt.ArrayLike,
    groups: Sequence[str],
    alpha: float,
    delta: float,
    *,
    origins: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[Stage, ExitBand]:
    """Bands of successive stages.

    Args:
        scores: by stage, in their order: scores in logits, [N], that have not seen these rows; NaN where the stage did
            not run or may not be judged.
        y: labels 0 or 1, [N].
        groups: the group of each row, [N].
        alpha: largest error among the exits of each side of each stage.
        delta: chance that any certificate is wrong.
        origins: see `certify_band`.
        seed: of the draw within groups.
    """
    labels = np.asarray(y)
    drawn = one_row_per_group(groups, seed)
    bands: dict[Stage, ExitBand] = {}
    for stage, values in scores.items():
        rows = drawn[np.isfinite(values[drawn])]
        bands[stage] = certify_band(
            sigmoid(values[rows]),
            labels[rows],
            [groups[i] for i in rows],
            alpha,
            delta / len(scores),
            seed=seed,
            origins=None if origins is None else [origins[i] for i in rows],
        )
        drawn = drawn[~exits_of(bands[stage], values[drawn])]
    return bands


def exits_of(band: ExitBand, scores: Array) -> Mask:
    """Which rows a band lets out; never one without a score."""
    known = np.where(np.isfinite(scores), sigmoid(np.nan_to_num(scores)), 0.5)
    return np.isfinite(scores) & (band.exits_low(known) | band.exits_high(known))
