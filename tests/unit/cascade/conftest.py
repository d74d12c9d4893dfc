import pytest

from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.training.heads import train_heads
from tests.unit.cascade.toy_street import toy_settings, toy_table


@pytest.fixture(scope="session")
def toy():
    """Table, frames, head and calibration of the toy street world, fitted once."""
    settings = toy_settings(alpha=0.1)
    table, frames = toy_table(2100)
    head = train_heads(table, settings.training, 0).head
    return table, frames, head, fit_cascade(table, head, settings), settings
