from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.cascade.engine import predict_table
from streetvision_core.cascade.recalibrate import LEAST_GROUPS, groups_by_class, recalibrate
from streetvision_core.errors import CalibrationError, PreprocessMismatchError
from streetvision_core.scoring.metrics import binary_metrics
from streetvision_core.types import Split


def other_camera(toy):
    """TEST rows, which taught nothing; half of them to calibrate on, half to judge."""
    table = toy[0].select(toy[0].in_split(Split.TEST))
    return table.select(np.arange(len(table)) % 2 == 0), table.select(np.arange(len(table)) % 2 == 1)


def spoiled(calibration):
    """The version as it would be on a camera whose scores run far too low: it misses most road work."""
    part = replace(calibration, threshold=0.985)
    return replace(part, small=replace(calibration.small, threshold=0.985))


def test_recalibrate__repairs_a_threshold_that_does_not_fit_the_camera(toy):
    _, _, head, calibration, settings = toy
    ours, judged = other_camera(toy)
    made = recalibrate(spoiled(calibration), head, ours, settings)
    before, after, best = (
        binary_metrics(predict_table(judged, head, c, "certified").p, judged.labels)
        for c in (spoiled(calibration), made, calibration)
    )
    assert before.recall < 0.6 < 0.8 < after.recall
    assert after.mcc > best.mcc - 0.06


def test_recalibrate__keeps_what_was_learned_and_records_what_is_new(toy):
    _, _, head, calibration, settings = toy
    ours, _ = other_camera(toy)
    made = recalibrate(calibration, head, replace(ours, origins=("our street",) * len(ours)), settings)
    for stage, one in made.stages.items():
        assert one.fusion == calibration.stages[stage].fusion
    assert set(made.made_with.origins) == {"our street"}
    assert made.made_with.rows + made.small.made_with.rows == len(ours)
    assert made.made_with.detectors == calibration.made_with.detectors


def test_recalibrate__a_size_without_photographs_keeps_its_calibration(toy):
    _, _, head, calibration, settings = toy
    ours, _ = other_camera(toy)
    whole = ours.select(np.array([era == "native" for era in ours.eras]))
    made = recalibrate(calibration, head, whole, settings)
    assert made.small.to_dict() == calibration.small.to_dict()
    assert made.threshold != calibration.threshold


def test_recalibrate__too_few_groups_are_refused(toy):
    """Frames of one drive are one group, however many there are."""
    _, _, head, calibration, settings = toy
    ours, _ = other_camera(toy)
    drives = tuple(f"drive {i % 3} {label}" for i, label in enumerate(ours.labels))
    few = replace(ours, groups=drives)
    assert groups_by_class(few, few.labels >= 0) == {0: 3, 1: 3}
    with pytest.raises(CalibrationError, match="3 independent groups with road work and 3 without") as error:
        recalibrate(calibration, head, few, settings)
    assert error.value.data["groups"] == {0: 3, 1: 3} and str(LEAST_GROUPS) in error.value.allowed


def test_recalibrate__another_make_is_refused(toy):
    _, _, head, calibration, settings = toy
    ours, _ = other_camera(toy)
    with pytest.raises(PreprocessMismatchError):
        recalibrate(calibration, head, replace(ours, preprocessing="native/1"), settings)
