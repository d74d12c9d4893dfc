"""The version that serves: made from the starter pack when there is none, loaded as a cascade."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.calibration import CascadeCalibration
from streetvision_core.cascade.engine import Cascade, predict_table
from streetvision_core.cascade.policy import get_policy
from streetvision_core.loop.tasks.day import Day
from streetvision_core.loop.tasks.tables import base_table
from streetvision_core.models.head import Head
from streetvision_core.registry.versions import ModelVersion
from streetvision_core.serving.drift import shares_of
from streetvision_core.serving.reload import REFERENCE_CARD
from streetvision_core.training.heads import train_heads
from streetvision_core.types import Split


def save_version(day: Day, head: Head, calibration: CascadeCalibration, card: Mapping[str, Any]) -> ModelVersion:
    """Puts a head and its calibration into the registry; nothing serves it yet."""
    facts = {
        "day": day.date.isoformat(),
        "profile": day.settings.profile,
        REFERENCE_CARD: _reference(day, head, calibration),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        head.save(folder)
        calibration.save(folder)
        return day.registry.create(folder, {**facts, **card})


def _reference(day: Day, head: Head, calibration: CascadeCalibration) -> list[float]:
    """How the version's probabilities are spread over CALIBRATE; the server compares what it answers with that."""
    table = base_table(day)
    rows = table.select(table.in_split(Split.CALIBRATE))
    return list(shares_of(predict_table(rows, head, calibration, day.settings.cascade.policy).p))


def ensure_champion(day: Day) -> ModelVersion:
    """The serving version; the first one is trained from the starter pack, with no champion to beat."""
    champion = day.registry.champion()
    if champion is not None:
        return champion
    table = base_table(day)
    trained = train_heads(table, day.settings.training, day.settings.seed)
    calibration = fit_cascade(table, trained.head, day.settings, detectors=day.models.detector_keys)
    card = {"training": trained.to_dict(), "learned_from": "starter pack: real photos and their composed twins"}
    version = save_version(day, trained.head, calibration, card)
    day.registry.install_first(version, by="loop")
    return version


def load_parts(day: Day, version: ModelVersion) -> tuple[Head, CascadeCalibration]:
    """Head and calibration of a registered version, checked against its manifest and the profile's models."""
    version.check()
    models = day.models
    head = Head.load(version.folder, backbone=models.backbone.name, preprocessing=models.preprocessor.name)
    calibration = CascadeCalibration.load(version.folder)
    calibration.check_serving(models.detector_keys)
    return head, calibration


def load_cascade(day: Day, policy: str | None = None) -> Cascade:
    """The champion, checked against its manifest, as a running cascade.

    Args:
        day: the day.
        policy: an exit policy; None takes the settings'.

    Raises:
        SettingsError: no such policy.
        ManifestError: a file of the version differs from its manifest.
    """
    champion = ensure_champion(day)
    champion.check()
    settings = day.settings
    if policy is not None:
        get_policy(policy)
        settings = settings.model_copy(update={"cascade": settings.cascade.model_copy(update={"policy": policy})})
    return Cascade.from_version(champion.folder, settings, models=day.models)
