"""From a head to a cascade: probabilities, exits and the threshold, on CALIBRATE rows."""

from __future__ import annotations

from streetvision_core.cascade.calibrate import DEFAULT_RULE, fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.learning.dataset import Dataset
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings


def calibrate(dataset: Dataset, head: Head, settings: Settings, rule: str = DEFAULT_RULE) -> CascadeCalibration:
    """Calibrates a head; `CascadeCalibration.save` keeps the result.

    Args:
        dataset: the rows the head was trained from, with splits.
        head: the head.
        settings: alpha, delta and the seed.
        rule: the scoring rule whose best threshold becomes 0.5.

    Raises:
        CalibrationError: CALIBRATE cannot even calibrate the classifier.
        PreprocessMismatchError: the head is of another backbone or preprocessing.
    """
    return fit_cascade(dataset.table, head, settings, rule)
