"""From a head to a cascade: probabilities, exits and the threshold, on CALIBRATE rows."""

from __future__ import annotations

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.data.worlds import World
from streetvision_core.learning.dataset import Dataset
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings


def calibrate(dataset: Dataset, head: Head, settings: Settings, world: World = "real") -> CascadeCalibration:
    """Calibrates a head for one world; `CascadeCalibration.save` keeps the result.

    Args:
        dataset: the rows the head was trained from, with splits.
        head: the head.
        settings: alpha, delta, the scoring rule with its prevalence, and the seed.
        world: photographs serve; a calibration of the rendered world is for reports.

    Raises:
        CalibrationError: CALIBRATE cannot even calibrate the classifier.
        PreprocessMismatchError: the head is of another backbone or preprocessing.
    """
    worlds = [row.world for row in dataset.rows]
    return fit_cascade(dataset.table, head, settings, worlds=worlds, world=world, detectors=dataset.detectors)
