"""Every notebook beside the nightly loop, and the two reports, runs alone; those that take a minute are `long`."""

import pytest

from tests.notebooks.alone import NIGHT, NOTEBOOKS, runs_alone

LONG = ("10_video", "11_label_efficiency", "20_detectors", "21_finetune_rfdetr", "22_finetune_yolo")
NAMES = [
    pytest.param(path.name, marks=pytest.mark.long if path.stem in LONG else ())
    for path in sorted(NOTEBOOKS.glob("*.ipynb"))
    if not path.name.startswith(NIGHT)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_notebook__runs_alone(name, tmp_path, shared, champion):
    runs_alone(name, tmp_path, shared, champion)
