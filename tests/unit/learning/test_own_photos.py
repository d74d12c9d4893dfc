from dataclasses import replace

import numpy as np
import pytest

from streetvision_core.calibration.arrays import row_log_losses
from streetvision_core.cascade.calibrate import fit_cascade
from streetvision_core.cascade.engine import predict_table
from streetvision_core.data.observe import Observer
from streetvision_core.errors import DataError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.learning.own_photos import (
    calibrate_on_photographs,
    leave_out_taught,
    observe_photographs,
    read_photographs,
)
from streetvision_core.training.heads import train_heads
from streetvision_core.types import Split
from tests.unit.cascade.toy_street import OCR_WIDTH, toy_frame, toy_models, toy_settings, toy_table


@pytest.fixture(scope="module")
def version():
    settings = toy_settings(alpha=0.1)
    table, _ = toy_table(900)
    head = train_heads(table, settings.training, 0).head
    return table, head, fit_cascade(table, head, settings), settings


def write_photographs(folder, n, first=90_000):
    """Frames in roadwork/ and none/, each its own group."""
    for seed in range(first, first + n):
        frame, label = toy_frame(seed)
        place = folder / ("roadwork" if label else "none")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{seed}.jpg").write_bytes(encode_jpeg(frame.pixels, 95))


def observer(tmp_path):
    return Observer(toy_models(), tmp_path / "features.sqlite", OCR_WIDTH)


def test_calibrate_on_photographs__shows_before_and_after_with_intervals(version, tmp_path):
    _, head, calibration, settings = version
    spoiled = replace(calibration, threshold=0.985, small=replace(calibration.small, threshold=0.985))
    write_photographs(tmp_path / "mine", 120)
    (tmp_path / "mine" / "none" / "broken.jpg").write_bytes(b"no photograph")
    images = read_photographs(tmp_path / "mine")
    table, unreadable = observe_photographs(images, observer(tmp_path), 1.1)  # a toy's colours are all alike
    assert (len(table), len(unreadable)) == (120, 1) and "broken.jpg" in unreadable[0]
    result = calibrate_on_photographs(head, spoiled, table, settings)
    assert result.photographs == 120 and sum(result.groups.values()) == 120
    assert result.before.threshold == 0.985 and 0.2 < result.after.threshold < 0.8
    assert result.before.recall.high < result.after.recall.low
    assert result.after.mcc.low < result.after.mcc.point < result.after.mcc.high
    told = result.to_dict()
    assert [one["n"] for one in told["after"]["bins"]] == [24] * 5
    assert told["made_with"]["world"] == "real"


def test_calibrate_on_photographs__after_is_out_of_fold(version):
    """What is shown is worse than what the new calibration says of the rows that made it."""
    table, head, calibration, settings = version
    test = table.select(table.in_split(Split.TEST))
    test = test.select(np.arange(60))
    result = calibrate_on_photographs(head, calibration, test, settings)
    seen = predict_table(test, head, result.calibration, settings.cascade.policy).calibrated
    assert result.after.log_loss.point > np.mean(row_log_losses(seen, test.labels.astype(int))) + 0.002


def test_calibrate_on_photographs__few_photographs_carry_a_warning(version):
    table, head, calibration, settings = version
    test = table.select(table.in_split(Split.TEST))
    native = np.array([era == "native" for era in test.eras])
    few = np.concatenate([np.flatnonzero(native & (test.labels == c))[:8] for c in (0, 1)])
    result = calibrate_on_photographs(head, calibration, test.select(few), settings)
    assert "8 independent groups with road work and 8 without" in result.warnings[0]
    assert any("no stage may end early" in line for line in result.warnings)
    width = [one.mcc.high - one.mcc.low for one in (result.after,)]
    assert width[0] > 0.15


def test_observe_photographs__near_duplicates_are_one_group(version, tmp_path):
    write_photographs(tmp_path / "mine", 6)
    same = next((tmp_path / "mine" / "roadwork").iterdir())
    same.with_name("again.jpg").write_bytes(same.read_bytes())
    table, _ = observe_photographs(read_photographs(tmp_path / "mine"), observer(tmp_path), 0.999999)
    assert (len(table), len(set(table.groups))) == (7, 6)


def test_read_photographs__says_what_it_wants(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.jpg").write_bytes(encode_jpeg(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(DataError, match=r"no labelled photograph.*roadwork/ and none/"):
        read_photographs(tmp_path)


def test_leave_out_taught__what_trained_the_head_says_nothing_of_a_camera(version):
    table, _, _, _ = version
    few, left_out = table.select(np.arange(10)), []
    kept = leave_out_taught(few, set(few.ids[:3]), left_out)
    assert kept.ids == few.ids[3:] and left_out == ["3 photographs that trained the head"]
    with pytest.raises(DataError, match="all of which trained the head"):
        leave_out_taught(few, set(few.ids), [])
