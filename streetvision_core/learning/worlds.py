"""What a calibration of each world is worth: photographs calibrate what serves, rendered rows are compared with them.

Example, as notebook 03 makes the calls:

    worths = compare_worlds(dataset, head, calibration, settings)
    pd.DataFrame([worth.to_dict() for worth in worths])
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from streetvision_core.calibration.arrays import Array, Labels, row_log_losses
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.engine import predict_table
from streetvision_core.data.worlds import World
from streetvision_core.errors import CalibrationError
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.dataset import Dataset
from streetvision_core.models.head import Head
from streetvision_core.scoring.confusion import Confusion
from streetvision_core.scoring.intervals import Interval, bootstrap, bootstrap_decisions
from streetvision_core.scoring.metrics import auc
from streetvision_core.settings import Settings
from streetvision_core.types import Split

WORLDS: Final[tuple[World, ...]] = ("real", "rendered")
_RESAMPLES: Final = 200


@dataclass(frozen=True, slots=True)
class WorldWorth:
    """A calibration of one world on the TEST rows of one world, with 95 % intervals over groups.

    Attributes:
        calibrated_on: the world whose CALIBRATE rows made it; `real` is what serves.
        answers: the world of the TEST rows.
        rows: how many.
        groups: independent groups among them.
        threshold: t* of whole pictures, before it is moved to 0.5.
        mcc: at 0.5.
        auc: of the calibrated probabilities.
        log_loss: of the calibrated probabilities.
    """

    calibrated_on: World
    answers: World
    rows: int
    groups: int
    threshold: float
    mcc: Interval
    auc: Interval
    log_loss: Interval

    def to_dict(self) -> dict[str, Any]:
        """One flat row; a figure that is not defined is NaN."""
        figures = {name: getattr(self, name).point for name in ("mcc", "auc", "log_loss")}
        plain = {"calibrated_on": self.calibrated_on, "answers": self.answers, "rows": self.rows}
        return {**plain, "groups": self.groups, "threshold": self.threshold, **figures}


def compare_worlds(
    dataset: Dataset, head: Head, calibration: CascadeCalibration, settings: Settings
) -> tuple[WorldWorth, ...]:
    """Calibrates the head on rendered rows, too, and lets both calibrations answer the TEST rows of both worlds.

    Args:
        dataset: with splits.
        head: the head.
        calibration: of photographs, for this head.
        settings: exits, scoring and the seed.

    Returns:
        One entry for each calibration and world of TEST rows; without the rendered calibration where CALIBRATE holds
        too few rendered rows for one.
    """
    made: dict[World, CascadeCalibration] = {"real": calibration}
    with suppress(CalibrationError):  # a profile that renders nothing has nothing to compare with
        made["rendered"] = calibrate(dataset, head, settings, "rendered")
    test = dataset.in_split(Split.TEST).labelled()
    parts = {world: test.of_world(world) for world in WORLDS}
    return tuple(
        _worth(name, one, world, rows, head, settings)
        for name, one in made.items()
        for world, rows in parts.items()
        if len(rows)
    )


def _worth(
    name: World, calibration: CascadeCalibration, world: World, rows: Dataset, head: Head, settings: Settings
) -> WorldWorth:
    table = rows.table
    answers = predict_table(table, head, calibration, settings.cascade.policy)
    y, groups = table.labels.astype(np.int64), table.groups
    ranked, loss = (bootstrap(fn, answers.calibrated, y, groups, _RESAMPLES) for fn in (_auc, _log_loss))
    return WorldWorth(
        name,
        world,
        len(rows),
        len(set(groups)),
        calibration.threshold,
        bootstrap_decisions(Confusion.mcc, answers.p, y, groups),
        ranked,
        loss,
    )


def _auc(p: Array, y: Labels) -> float:
    return auc(p, y)


def _log_loss(p: Array, y: Labels) -> float:
    return float(np.mean(row_log_losses(p, y)))
