"""What every notebook opens first: settings, folders, registry and query log of one day."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from streetvision_core.data.feature_store import store_path
from streetvision_core.data.observe import observe
from streetvision_core.loop.nights import Nights, Snapshot
from streetvision_core.loop.workspace import Workspace, parse_night
from streetvision_core.mining.querylog import QueryLog
from streetvision_core.mining.review_queue import ReviewQueue
from streetvision_core.models.factory import ModelSet, load_models
from streetvision_core.registry.versions import Registry, open_registry
from streetvision_core.settings import Settings, load_settings
from streetvision_core.types import BoxesByDetector, Frame

Rows = npt.NDArray[np.float32]

FIRST_DAY: Final = dt.date(2026, 1, 1)
"""Day 0 of the demo stream."""


@dataclass(frozen=True)
class Day:
    """One simulated or real day of the loop.

    Attributes:
        settings: the profile in force.
        date: the day, UTC; of a night over past days, the last of them.
        name: the night's name where it is not the date.
    """

    settings: Settings
    date: dt.date
    name: str = ""

    @cached_property
    def workspace(self) -> Workspace:
        """Where files lie."""
        return Workspace.of(self.settings)

    @property
    def folder(self) -> Path:
        """`data/days/<night>`."""
        return self.workspace.day_folder(self.name or self.date)

    @cached_property
    def snapshot(self) -> Snapshot | None:
        """What the night works on; None where the loop never began it."""
        return Nights(self.workspace.data).begun(self.name or self.date.isoformat())

    @cached_property
    def registry(self) -> Registry:
        """Model versions and promotions."""
        return open_registry(self.settings)

    @cached_property
    def log(self) -> QueryLog:
        """The query log."""
        return QueryLog(self.workspace.data / "queries")

    @cached_property
    def review(self) -> ReviewQueue:
        """What was put before reviewers on all days, and the store of what was decided."""
        return ReviewQueue.of_data(self.workspace.data)

    @property
    def feature_store(self) -> Path:
        """The feature store's file."""
        return store_path(self.settings)

    @property
    def number(self) -> int:
        """Days since the project's first, which choose the demo stream's seeds."""
        return (self.date - FIRST_DAY).days

    def observe(
        self, frames: Sequence[Frame], caption: str, seen: Mapping[str, BoxesByDetector] | None = None
    ) -> tuple[Rows, Rows]:
        """Features float32 [N, D] and full evidence float32 [N, E] of frames, with a progress bar.

        Where `seen` holds what the detectors have found in a frame just now, by its digest, they do not look again.
        """
        width = self.settings.cascade.ocr_min_width_pixels
        return observe(frames, self.models, self.feature_store, ocr_min_width_pixels=width, progress=caption, seen=seen)

    @cached_property
    def make(self) -> str:
        """Short digest of everything a stored row depends on: backbone, preprocessing, detectors, their weights."""
        models = self.models
        names = [models.backbone.name, models.preprocessor.name, *(f"{d.name}@{d.version}" for d in models.detectors)]
        return hashlib.sha256("|".join(names).encode()).hexdigest()[:12]

    @cached_property
    def models(self) -> ModelSet:
        """The profile's frozen models, loaded when first used."""
        return load_models(self.settings)


def open_day(profile: str = "", day: str = "") -> Day:
    """Opens a day.

    Args:
        profile: a profile's name; empty takes `SV_PROFILE`, else `embedded`.
        day: `YYYY-MM-DD`, or a night's name; empty means today, UTC.

    Raises:
        SettingsError: an unknown profile or key.
        LoopError: not a day.
    """
    return Day(load_settings(profile or None), *parse_night(day))
