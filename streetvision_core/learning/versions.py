"""A version as a value: head and calibration under a name, read from the registry or put into it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.decisions import Decisions
from streetvision_core.cascade.engine import Cascade, predict_table
from streetvision_core.cascade.policy import get_policy
from streetvision_core.errors import RegistryError, StreetVisionError
from streetvision_core.learning.dataset import Dataset
from streetvision_core.models.factory import ModelSet
from streetvision_core.models.head import Head
from streetvision_core.registry.versions import ModelVersion, Registry
from streetvision_core.scoring.shares import REFERENCE_CARD, shares_of
from streetvision_core.settings import Settings
from streetvision_core.types import Split

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """What decides: stage 1's head and what was calibrated for it.

    Attributes:
        name: in the registry; any other name for one that is not registered.
        head: stage 1's head.
        calibration: probabilities, exits and threshold.
    """

    name: str
    head: Head
    calibration: CascadeCalibration

    def answer(self, dataset: Dataset, policy: str) -> Decisions:
        """Its decisions on the rows of a dataset, from their features and evidence.

        Raises:
            CalibrationMismatchError: the evidence is of other detectors than those it was calibrated with.
            PreprocessMismatchError: the features are of another backbone or preprocessing.
        """
        self.calibration.made_with.check_detectors(dataset.detectors)
        return predict_table(dataset.table, self.head, self.calibration, policy)


def serving_version(registry: Registry) -> ModelVersion:
    """The version that serves, pinned or champion.

    Raises:
        RegistryError: none does yet.
    """
    version = registry.serving()
    if version is None:
        raise RegistryError(
            got="no version that serves",
            allowed="a workspace with a first version",
            action="make it: run `streetvision daily --demo`, or notebooks/00_setup.ipynb with SAVE = True",
        )
    return version


def load_cascade(registry: Registry, settings: Settings, models: ModelSet, policy: str | None = None) -> Cascade:
    """The version that serves, checked against its manifest, as a running cascade.

    Args:
        registry: names it.
        settings: the profile.
        models: its frozen models.
        policy: an exit policy; None takes the settings'.

    Raises:
        RegistryError: no version serves yet.
        SettingsError: no such policy.
        ManifestError: a file of the version differs from its manifest.
    """
    version = serving_version(registry)
    version.check()
    if policy is not None:
        get_policy(policy)
        settings = settings.model_copy(update={"cascade": settings.cascade.model_copy(update={"policy": policy})})
    return Cascade.from_version(version.folder, settings, models=models)


def first_of_make(registry: Registry, settings: Settings) -> Version | None:
    """The first version that served with the profile's backbone and preprocessing, for the gate's second guard.

    One that cannot be read any more gives its place to the next, and the log says so; None where there is none.
    """
    for found in registry.served_with(settings.models.backbone, settings.models.preprocessing):
        try:
            return load_version(found, settings)
        except StreetVisionError as error:
            _log.warning("version cannot be the first of the second guard", version=found.name, error=str(error))
    return None


def load_version(version: ModelVersion, settings: Settings) -> Version:
    """A registered version, checked against its manifest.

    Raises:
        ManifestError: a file differs from the manifest.
        PreprocessMismatchError: it is of another backbone or preprocessing than the profile.
    """
    version.check()
    models = settings.models
    head = Head.load(version.folder, backbone=models.backbone, preprocessing=models.preprocessing)
    return Version(version.name, head, CascadeCalibration.load(version.folder))


def save_version(
    registry: Registry,
    head: Head,
    calibration: CascadeCalibration,
    dataset: Dataset,
    settings: Settings,
    card: Mapping[str, Any],
) -> ModelVersion:
    """Puts a head and its calibration into the registry; nothing serves it yet.

    The card keeps the dataset's digest, and how the version's probabilities are spread over CALIBRATE: the server
    compares what it answers with that.

    Args:
        registry: where to.
        head: the head.
        calibration: for this head.
        dataset: what both were made from.
        settings: profile and exit policy.
        card: further JSON-ready facts.
    """
    rows = dataset.in_split(Split.CALIBRATE)
    spread = shares_of(Version("", head, calibration).answer(rows, settings.cascade.policy).p)
    facts = {"profile": settings.profile, "dataset": dataset.digest, REFERENCE_CARD: list(spread)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head.save(folder)
        calibration.save(folder)
        return registry.create(folder, {**facts, **card})
