"""The smallest loop that still has every part, and what all workspaces of one run of the tests share."""

from pathlib import Path

import pytest

SMALL = {
    "SV_LOOP__QUERIES_PER_DAY": "20",
    "SV_LOOP__HELDOUT_FRAMES": "24",
    "SV_LOOP__SYNTHETIC_PER_DAY": "4",
    "SV_LOOP__INT8_FRAMES": "4",
    "SV_MINING__BUDGET": "10",
    "SV_TRAINING__LEARNING_RATES": "[0.001]",
    "SV_TRAINING__WEIGHT_DECAYS": "[0.01]",
    "SV_TRAINING__EPOCHS": "10",
    "SV_MODELS__THREADS": "1",
}
"""Whether everything runs and is told does not depend on sizes; how well it learns is measured elsewhere."""


def run_folder(factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder that all workers of one run of the tests have in common."""
    base = factory.getbasetemp()
    return base if worker_id == "master" else base.parent


def share(home: Path, shared: Path) -> None:
    """Gives a new workspace what it would compute again to the last bit: the backbone's ONNX and stored features.

    Args:
        home: a workspace without a data folder.
        shared: where both lie.
    """
    (home / "data").mkdir()
    for part in ("cache", "features"):
        (shared / part).mkdir(parents=True, exist_ok=True)
        (home / "data" / part).symlink_to(shared / part)
