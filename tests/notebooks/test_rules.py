"""Every notebook keeps the rules of the house."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook__keeps_the_rules(path):
    cells = code_cells(path)
    sources = ["".join(cell.source) for cell in cells]
    assert len(cells) <= 25
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
