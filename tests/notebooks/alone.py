"""Runs a notebook headless and alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streetvision_core.loop import read_result

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SMALL = {
    "SV_LOOP__QUERIES_PER_DAY": "32",
    "SV_LOOP__HELDOUT_FRAMES": "60",
    "SV_LOOP__SYNTHETIC_PER_DAY": "12",
    "SV_MINING__BUDGET": "16",
    "SV_MINING__WORKBENCH": "off",
}
NEEDS = {"20_detectors": "ultralytics", "21_finetune_rfdetr": "pytorch_lightning", "22_finetune_yolo": "ultralytics"}
"""Packages of extras."""
NIGHT = ("00_", "01_", "05_", "06_", "07_", "02_", "03_", "04_", "08_")
"""The loop's own; they and the others are two files of tests, because a file of tests runs in one process."""


def runs_alone(name, home, shared):
    """Runs it on a workspace that has never been used, but for what it would compute again to the last bit.

    Args:
        name: file name in `notebooks`.
        home: an empty folder.
        shared: holds the backbone's ONNX and the feature store of all notebooks.
    """
    stem = name.removesuffix(".ipynb")
    if needed := NEEDS.get(stem):
        pytest.importorskip(needed)
    (home / "data").mkdir()
    for part in ("cache", "features"):
        (shared / part).mkdir(exist_ok=True)
        (home / "data" / part).symlink_to(shared / part)
    out = home / name
    where = NOTEBOOKS / name
    command = [sys.executable, "-m", "papermill", str(where), str(out), "--no-progress-bar", "--cwd", str(NOTEBOOKS)]
    environment = {**os.environ, **SMALL, "SV_PATHS__HOME": str(home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.dumps(read_result(out))
