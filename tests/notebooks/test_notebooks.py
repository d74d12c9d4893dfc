"""Every notebook keeps the rules of the house and runs alone, on a workspace that has never been used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from streetvision_core.loop import read_result

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SMALL = {
    "SV_LOOP__QUERIES_PER_DAY": "32",
    "SV_LOOP__HELDOUT_FRAMES": "60",
    "SV_LOOP__SYNTHETIC_PER_DAY": "12",
    "SV_MINING__BUDGET": "16",
    "SV_MINING__WORKBENCH": "off",
}


NEEDS = {"20_detectors": "ultralytics", "21_finetune_rfdetr": "pytorch_lightning", "22_finetune_yolo": "ultralytics"}
"""Packages of extras."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The backbone's ONNX, made once; everything else of a workspace is new for each notebook."""
    return tmp_path_factory.mktemp("cache")


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook__keeps_the_rules(path):
    cells = code_cells(path)
    sources = ["".join(cell.source) for cell in cells]
    assert len(cells) <= 15
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in cells) == 1
    assert not any(line.startswith("def ") for source in sources for line in source.splitlines())
    assert "record(" in sources[-1]
    first = nbformat.read(path, as_version=4).cells[0].source
    assert all(word in first for word in ("**Answers:**", "**Reads:**", "**Writes:**", "**Takes:**"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook__every_parameter_is_explained(path):
    [cell] = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    for line in cell.source.splitlines():
        name = line.split("=")[0].strip()
        assert name.isupper()
        assert "#" in line


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook__runs_alone(path, tmp_path, cache):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cache").symlink_to(cache)
    environment = {**os.environ, **SMALL, "SV_PATHS__HOME": str(tmp_path)}
    if needed := NEEDS.get(path.stem):
        pytest.importorskip(needed)
    out = tmp_path / path.name
    command = [sys.executable, "-m", "papermill", str(path), str(out), "--no-progress-bar", "--cwd", str(path.parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.dumps(read_result(out))
