"""What each world's calibration is worth: both answer the TEST rows of both worlds, and only one of them serves."""

from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.errors import CalibrationMismatchError
from streetvision_core.learning.calibrate import calibrate
from streetvision_core.learning.dataset import Dataset, Provenance
from streetvision_core.learning.worlds import compare_worlds
from streetvision_core.loop.report.sections import bands
from streetvision_core.training.heads import train_heads
from tests.unit.cascade.toy_street import toy_settings, toy_table


@pytest.fixture(scope="module")
def made():
    """Two thirds photographs, one third rendered rows in which road work is rarer and every label of one kind noisy."""
    settings = toy_settings(alpha=0.1)
    table, _ = toy_table(1500)
    rendered = np.arange(len(table)) % 3 == 0
    noise = np.random.default_rng(0).random(len(table)) < 0.3
    labels = np.where(rendered & noise, 0, table.labels).astype(np.int8)
    table = replace(table, labels=labels)
    rows = tuple(Provenance(name, world="rendered" if r else "real", source="toy")
                 for name, r in zip(table.ids, rendered, strict=True))  # fmt: skip
    dataset = Dataset(table, rows)
    head = train_heads(table, settings.training, 0).head
    return dataset, head, settings


def test_compare_worlds__each_calibration_answers_both_worlds(made):
    dataset, head, settings = made
    calibration = calibrate(dataset, head, settings)
    worths = {(w.calibrated_on, w.answers): w for w in compare_worlds(dataset, head, calibration, settings)}
    assert set(worths) == {(a, b) for a in ("real", "rendered") for b in ("real", "rendered")}
    for world in ("real", "rendered"):
        assert (
            worths[world, world].log_loss.point
            < worths[{"real": "rendered", "rendered": "real"}[world], world].log_loss.point
        )
        assert worths["real", world].rows == worths["rendered", world].rows
    assert worths["real", "real"].threshold == calibration.threshold != worths["rendered", "real"].threshold
    assert worths["real", "real"].mcc.low < worths["real", "real"].mcc.point < worths["real", "real"].mcc.high


def test_compare_worlds__without_rendered_rows_only_photographs_are_told(made):
    dataset, head, settings = made
    photographs = dataset.real
    found = compare_worlds(photographs, head, calibrate(photographs, head, settings), settings)
    assert [(w.calibrated_on, w.answers) for w in found] == [("real", "real")]


def test_calibrate__of_the_rendered_world_never_serves(made):
    dataset, head, settings = made
    with pytest.raises(CalibrationMismatchError, match="photographs"):
        calibrate(dataset, head, settings, "rendered").check_serving(())


def test_bands__the_report_says_which_one_serves(made):
    dataset, head, settings = made
    calibration = calibrate(dataset, head, settings)
    told = bands(settings, calibration, compare_worlds(dataset, head, calibration, settings))
    assert [(row.calibrated_on, row.serves) for row in told.worlds] == [
        ("photographs", True), ("photographs", True), ("rendered frames", False), ("rendered frames", False),
    ]  # fmt: skip
    assert "photographs of" in told.note
