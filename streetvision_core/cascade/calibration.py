"""Everything a cascade learned on CALIBRATE, in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from streetvision_core.calibration.exits import ExitBand
from streetvision_core.calibration.stage import StageCalibrator
from streetvision_core.errors import CalibrationError, PreprocessMismatchError
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import STAGES, Era, Stage

CALIBRATION_FILE: Final = "calibration.json"
SMALL_PIXELS: Final = 256
"""Longer side up to which a frame counts as one of the older eras, which are 224 pixels wide."""
_FORMAT: Final = "cascade-calibration/2"


@dataclass(frozen=True, slots=True, eq=False)
class CascadeCalibration:
    """Per stage a calibrator and a band; for all together the paid threshold.

    Attributes:
        stages: calibrators of the stages that could be calibrated; the classifier's is always there.
        bands: exit bands on the sigmoid of each stage's score.
        absent: stages without a calibrator, and why.
        threshold: t*, remapped to 0.5.
        prior: share of road work among the calibrating rows; the answer where no stage gave evidence.
        rule: the pay rule t* was chosen for.
        backbone: of the head this belongs to.
        preprocessing: of the head this belongs to.
        notes: JSON-ready facts: rows, choices, reasons.
        small: the same for frames of at most `SMALL_PIXELS`, the older eras; None: this one serves them too.
    """

    stages: Mapping[Stage, StageCalibrator]
    bands: Mapping[Stage, ExitBand]
    absent: Mapping[Stage, str]
    threshold: float
    prior: float
    rule: str
    backbone: str
    preprocessing: str
    notes: dict[str, Any] = field(default_factory=dict)
    small: CascadeCalibration | None = None

    def for_era(self, era: Era) -> CascadeCalibration:
        """The calibration for frames of an era: scores of a 224-pixel crop mean less than those of a whole picture."""
        return self if era == "native" or self.small is None else self.small

    def for_size(self, width: int, height: int) -> CascadeCalibration:
        """The calibration for a frame of this size in pixels."""
        return self.for_era("native" if max(width, height) > SMALL_PIXELS else "crop-224")

    def latest(self, stage: Stage) -> StageCalibrator:
        """The calibrator of the stage, or of the last one before it that has one."""
        known = [s for s in STAGES[: STAGES.index(stage) + 1] if s in self.stages]
        return self.stages[known[-1]]

    def check(self, backbone: str, preprocessing: str) -> None:
        """Refuses a head of another make.

        Raises:
            PreprocessMismatchError: backbone or preprocessing differ.
        """
        if (backbone, preprocessing) != (self.backbone, self.preprocessing):
            raise PreprocessMismatchError(
                got=f"{backbone} with {preprocessing}",
                allowed=f"{self.backbone} with {self.preprocessing}, which this calibration was made for",
                action="calibrate again with this head, or use the head of the same version",
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "format": _FORMAT,
            "stages": {name: calibrator.to_dict() for name, calibrator in self.stages.items()},
            "bands": {name: band.to_dict() for name, band in self.bands.items()},
            "absent": dict(self.absent),
            "threshold": self.threshold,
            "prior": self.prior,
            "rule": self.rule,
            "backbone": self.backbone,
            "preprocessing": self.preprocessing,
            "notes": self.notes,
            "small": self.small.to_dict() if self.small else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CascadeCalibration:
        """The inverse of `to_dict`.

        Raises:
            CalibrationError: another format, or fields that are missing or broken.
        """
        try:
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r}")
            made = cls(
                stages={name: StageCalibrator.from_dict(one) for name, one in data["stages"].items()},
                bands={name: ExitBand.from_dict(one) for name, one in data["bands"].items()},
                absent=dict(data["absent"]),
                threshold=float(data["threshold"]),
                prior=float(data["prior"]),
                rule=data["rule"],
                backbone=data["backbone"],
                preprocessing=data["preprocessing"],
                notes=dict(data["notes"]),
                small=cls.from_dict(data["small"]) if data["small"] else None,
            )
            made.stages["classifier"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _broken(f"{type(error).__name__}: {error}") from error
        return made

    def save(self, folder: Path) -> None:
        """Writes calibration.json into `folder`."""
        atomic_write_json(folder / CALIBRATION_FILE, self.to_dict())

    @classmethod
    def load(cls, folder: Path) -> CascadeCalibration:
        """Reads calibration.json.

        Raises:
            CalibrationError: it is missing or broken.
        """
        try:
            data = json.loads((folder / CALIBRATION_FILE).read_text())
        except (OSError, ValueError) as error:
            raise _broken(f"{folder.name}: {error}") from error
        return cls.from_dict(data)


def _broken(got: str) -> CalibrationError:
    return CalibrationError(
        got=got,
        allowed=f"a {CALIBRATION_FILE} of format {_FORMAT} with a classifier stage",
        action="calibrate again, or choose another model version",
    )
