"""Runs a notebook headless and alone, through papermill as the loop does."""

import json
import os
import shutil
import uuid
from pathlib import Path

import pytest

from streetvision_core.loop.environment import MARK
from streetvision_core.loop.execution import Job, execute
from streetvision_core.loop.judge import judge
from streetvision_core.loop.parameters import check_parameters
from streetvision_core.loop.runner import read_notebook
from streetvision_core.loop.signals import Stop
from streetvision_core.loop.steps import Step
from tests.small_world import SMALL, share

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SECONDS = 540.0
NEEDS = {"20_detectors": "ultralytics", "21_finetune_rfdetr": "pytorch_lightning", "22_finetune_yolo": "ultralytics"}
"""Packages of extras."""
FEWER = {
    "04_quantize": {"FRAMES": 4},
    "10_video": {"CLIPS": 1},
    "11_label_efficiency": {"FRAMES": 60, "SEEDS": 2, "MOST": 30},
}
"""Parameters that say how much of the same is done; the others stay as they are."""
NIGHT = ("00_", "01_", "05_", "06_", "07_", "02_", "03_", "04_", "08_")
"""The loop's own; they and the others are two files of tests, because a file of tests runs in one process."""


def runs_alone(name, home, shared, champion):
    """Runs it on a workspace that has never been used, but for what it would compute again to the last bit.

    Args:
        name: file name in `notebooks`.
        home: an empty folder.
        shared: holds the backbone's ONNX and the feature store of all workspaces.
        champion: a registry with the first champion.
    """
    stem = name.removesuffix(".ipynb")
    if needed := NEEDS.get(stem):
        pytest.importorskip(needed)
    share(home, shared)
    shutil.copytree(champion, home / "data" / "models")
    notebook, values, mark = read_notebook(NOTEBOOKS / name), FEWER.get(stem, {}), uuid.uuid4().hex
    step = Step(stem, name, stem, {key: type(value) for key, value in values.items()})
    environment = {**os.environ, **SMALL, "SV_MINING__WORKBENCH": "off", "SV_PATHS__HOME": str(home), MARK: mark}
    job = Job(notebook, check_parameters(step, notebook, values), home / name, NOTEBOOKS, environment, mark, SECONDS)
    ending = execute(job, Stop())
    assert json.dumps(judge(step, ending, read_notebook(job.output), SECONDS))
