"""Heads from a dataset: a list of candidates, all fitted in one pass, the best one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streetvision_core.learning.dataset import Dataset
from streetvision_core.models.head import Head
from streetvision_core.settings import Settings, TrainingSettings
from streetvision_core.storage import atomic_write_json
from streetvision_core.training.heads import Progress, TrainedHead, train_heads
from streetvision_core.training.spec import CandidateSpec, default_specs

TRAINING_FILE = "training.json"


def default_candidates(settings: TrainingSettings) -> list[CandidateSpec]:
    """The candidates of a night; take some away or add your own before `train`."""
    return default_specs(settings)


def train(
    dataset: Dataset,
    candidates: Sequence[CandidateSpec],
    seed: int,
    settings: TrainingSettings,
    progress: Progress | None = None,
) -> TrainedHead:
    """Fits every candidate on TRAIN rows, chooses on SELECT rows, fits the chosen one again on both.

    Args:
        dataset: with splits; rows without a label or of weight 0 teach nothing.
        candidates: the recipes.
        seed: the same seed and rows give the same head.
        settings: epochs, and the share of weight of real labels beside pseudo-labels.
        progress: called as candidates advance.

    Raises:
        DataError: TRAIN lacks a class, or SELECT has no labelled row.
    """
    return train_heads(dataset.table, settings, seed, progress, candidates)


def find_head(folder: Path, settings: Settings) -> Head | None:
    """The head that `save_head` wrote there; None where there is none.

    Raises:
        PreprocessMismatchError: it is of another backbone or preprocessing than the profile.
    """
    if not (folder / "head.json").exists():
        return None
    models = settings.models
    return Head.load(folder, backbone=models.backbone, preprocessing=models.preprocessing)


def save_head(trained: TrainedHead, folder: Path) -> None:
    """Writes the head and how all candidates did."""
    trained.head.save(folder)
    atomic_write_json(folder / TRAINING_FILE, trained.to_dict())
