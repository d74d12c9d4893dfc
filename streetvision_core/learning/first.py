"""The first version of a workspace: there is nothing yet that it could be compared with."""

from __future__ import annotations

from streetvision_core.data.observe import Observer
from streetvision_core.data.starter import load_starter
from streetvision_core.learning.assemble import base_rows
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.dataset import Dataset
from streetvision_core.learning.sources import check_photographs
from streetvision_core.learning.train import default_candidates, train
from streetvision_core.learning.versions import save_version
from streetvision_core.registry.versions import ModelVersion, Registry
from streetvision_core.settings import Settings
from streetvision_core.training.heads import Progress


def record_first_of(settings: Settings, registry: Registry, progress: Progress | None = None) -> ModelVersion:
    """`record_first_version` from what a workspace has before its first night.

    Raises:
        DataError: there is no photograph that the profile's models can learn from; raised before any work.
    """
    pack = load_starter()
    check_photographs(settings, pack)
    return record_first_version(registry, base_rows(settings, Observer.of(settings), pack), settings, progress)


def record_first_version(
    registry: Registry, dataset: Dataset, settings: Settings, progress: Progress | None = None
) -> ModelVersion:
    """Trains and calibrates a version and puts it into service.

    Args:
        registry: without a champion.
        dataset: what there is before the first night (`assemble.base_rows`).
        settings: the profile.
        progress: called as candidates advance.

    Raises:
        DataError: the rows cannot teach.
        RegistryError: a version serves already.
    """
    trained = train(dataset, default_candidates(settings.training), settings.seed, settings.training, progress)
    calibration = calibrate(dataset, trained.head, settings)
    sources = sorted({row.source for row in dataset.rows})
    card = {"training": trained.to_dict(), "learned_from": ", ".join(sources)}
    version = save_version(registry, trained.head, calibration, dataset, settings, card)
    registry.install_first(version, by="loop")
    return version
