"""Everything a cascade learned on CALIBRATE, in one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from streetvision_core.calibration.exits import ExitBand
from streetvision_core.calibration.facts import CALIBRATE_AGAIN, CalibrationFacts
from streetvision_core.calibration.stage import StageCalibrator
from streetvision_core.errors import CalibrationError, CalibrationMismatchError, PreprocessMismatchError
from streetvision_core.models.evidence import DETECTOR_NAMES
from streetvision_core.storage import atomic_write_json
from streetvision_core.types import STAGES, Era, Stage

CALIBRATION_FILE: Final = "calibration.json"
SMALL_PIXELS: Final = 256
"""Longer side up to which a frame counts as one of the older eras, which are 224 pixels wide."""
_FORMAT: Final = "cascade-calibration/3"
_WITHOUT_FACTS: Final = "cascade-calibration/2"
"""The format before a calibration recorded what it was made with; such versions stay in service."""
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class CascadeCalibration:
    """Per stage a calibrator and a band; for all together the decision threshold.

    Attributes:
        stages: calibrators of the stages that could be calibrated; the classifier's is always there.
        bands: exit bands on the sigmoid of each stage's score.
        absent: stages without a calibrator, and why.
        threshold: t*, remapped to 0.5.
        prior: share of road work among the calibrating rows; the answer where no stage gave evidence.
        made_with: models, world, rule, prevalence and rows it was made with.
        notes: JSON-ready: how each stage's calibrator was chosen.
        small: the same for frames of at most `SMALL_PIXELS`, the older eras; None: this one serves them too.
    """

    stages: Mapping[Stage, StageCalibrator]
    bands: Mapping[Stage, ExitBand]
    absent: Mapping[Stage, str]
    threshold: float
    prior: float
    made_with: CalibrationFacts
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
        """Refuses a head of another backbone or preprocessing.

        Raises:
            PreprocessMismatchError: they differ.
        """
        made = self.made_with
        if (backbone, preprocessing) != (made.backbone, made.preprocessing):
            raise PreprocessMismatchError(
                got=f"{backbone} with {preprocessing}",
                allowed=f"{made.backbone} with {made.preprocessing}, which this calibration was made for",
                action="calibrate again with this head, or use the head of the same version",
            )

    def check_serving(self, detectors: Sequence[str]) -> None:
        """Refuses what may not answer: calibrators of other detectors, or of the rendered world.

        Args:
            detectors: `name@version` of those that will run, in the profile's order.

        Raises:
            CalibrationMismatchError: the calibration was made with others.
        """
        made = self.made_with
        if made.world == "rendered":
            raise CalibrationMismatchError(
                got="a calibration of the rendered world", allowed="one of photographs", action=CALIBRATE_AGAIN
            )
        if made.detectors is None:
            self._check_places(detectors)
            _log.warning("calibration without a record of its detectors", allowed="taken as made for the profile's")
        made.check_detectors(detectors)

    def _check_places(self, detectors: Sequence[str]) -> None:
        """An older version did not record its detectors, but its fusions show how many there were."""
        weights = [pair for stage in self.stages.values() for pair in stage.fusion.weight_of_block().items()]
        places = {block for block, weight in weights if block in DETECTOR_NAMES and weight}
        if places and len(places) != len(detectors):
            raise CalibrationMismatchError(
                got=f"{len(detectors)} detectors ({', '.join(detectors) or 'none'})",
                allowed=f"{len(places)}, as when this version was calibrated; it did not record which",
                action=CALIBRATE_AGAIN,
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
            "made_with": self.made_with.to_dict(),
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
            if data["format"] not in (_FORMAT, _WITHOUT_FACTS):
                raise ValueError(f"format {data['format']!r}")
            made = cls(
                stages={name: StageCalibrator.from_dict(one) for name, one in data["stages"].items()},
                bands={name: ExitBand.from_dict(one) for name, one in data["bands"].items()},
                absent=dict(data["absent"]),
                threshold=float(data["threshold"]),
                prior=float(data["prior"]),
                made_with=CalibrationFacts.from_dict(data["made_with"] if "made_with" in data else _derived(data)),
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


def _derived(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a version of the format without facts lets us know of them."""
    rows = data["notes"].get("rows_by_origin", {})
    return {
        "backbone": data["backbone"],
        "preprocessing": data["preprocessing"],
        "detectors": None,
        "world": "unknown",
        "prevalence": 0.5,
        "rule": data["rule"],
        "origins": {origin: {"rows": n, "groups": None} for origin, n in rows.items()},
    }


def _broken(got: str) -> CalibrationError:
    return CalibrationError(
        got=got,
        allowed=f"a {CALIBRATION_FILE} of format {_FORMAT} with a classifier stage",
        action="calibrate again, or choose another model version",
    )
