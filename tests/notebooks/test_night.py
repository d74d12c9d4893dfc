"""Every notebook of the nightly loop runs alone."""

import pytest

from tests.notebooks.alone import NIGHT, NOTEBOOKS, runs_alone

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb") if path.name.startswith(NIGHT))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebook__runs_alone(name, tmp_path, shared, champion):
    runs_alone(name, tmp_path, shared, champion)
