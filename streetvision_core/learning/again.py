"""A version's head calibrated again with what the profile runs now: after its detectors, rule or prevalence changed."""

from __future__ import annotations

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import load_starter
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.sources import check_photographs, pack_fits, photo_rows, starter_rows
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings


def photographs(settings: Settings, observer: Observer) -> Dataset:
    """The photographs a profile can learn from: the starter pack's, and those of `learning.photos`.

    Raises:
        DataError: there are none.
    """
    pack = load_starter()
    check_photographs(settings, pack)
    parts = [starter_rows(pack, observer)] if pack_fits(settings, pack) else []
    parts += [photo_rows(settings.paths.home / folder, observer) for folder in settings.learning.photos]
    return Dataset.concat(parts)


def calibrate_again(head: Head, dataset: Dataset, settings: Settings) -> CascadeCalibration:
    """Calibrates a head on the photographs of a dataset, for the detectors behind its evidence.

    Raises:
        CalibrationError: CALIBRATE cannot even calibrate the classifier.
        PreprocessMismatchError: the head is of another backbone or preprocessing.
    """
    worlds = [row.world for row in dataset.rows]
    return fit_cascade(dataset.table, head, settings, worlds=worlds, detectors=dataset.detectors)
