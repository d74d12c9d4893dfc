"""The challenger: a head on everything learned so far, and its calibration."""

from __future__ import annotations

from pathlib import Path

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.loop.tasks.challenge import remember_taught
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.tables import learning_table
from streetvision_core.models.head import Head
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import TrainedHead, progress_bar, train_heads


def challenger_folder(day: Day) -> Path:
    """Where the day's challenger lies before it is registered."""
    return day.folder / "challenger"


def train_challenger(day: Day) -> TrainedHead:
    """Trains the day's head and keeps it in the challenger's folder.

    Raises:
        LeakError: a row of the challenge set is among what teaches.
    """
    table = learning_table(day)
    remember_taught(day, table)
    with progress_bar("training heads") as progress:
        trained = train_heads(table, day.settings.training, day.settings.seed, progress)
    trained.head.save(challenger_folder(day))
    atomic_write_json(challenger_folder(day) / "training.json", trained.to_dict())
    return trained


def challenger_head(day: Day) -> Head:
    """The day's head; trained now where the training notebook has not run."""
    folder = challenger_folder(day)
    if not (folder / "head.json").exists():
        return train_challenger(day).head
    return Head.load(folder, backbone=day.models.backbone.name, preprocessing=day.models.preprocessor.name)


def calibrate_challenger(day: Day) -> CascadeCalibration:
    """Fits stage calibrators, exit bands and the remapping to 0.5, and keeps them beside the head."""
    detectors = day.models.detector_keys
    calibration = fit_cascade(learning_table(day), challenger_head(day), day.settings, detectors=detectors)
    calibration.save(challenger_folder(day))
    return calibration
