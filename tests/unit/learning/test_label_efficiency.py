import numpy as np
import pytest

from streetvision_core.data.observe import Observer
from streetvision_core.errors import DataError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.learning import label_efficiency
from streetvision_core.mining.efficiency import LabelCurves, LabelPlan
from streetvision_core.mining.stream import StreamQuery
from streetvision_core.settings import MiningSettings
from tests.unit.cascade.toy_street import OCR_WIDTH, toy_frame, toy_models


@pytest.fixture
def stream(tmp_path, monkeypatch):
    calls = []

    def toy_stream(day_index, n, seed=0):
        calls.append(day_index)
        for i in range(n):
            frame, label = toy_frame(day_index * 1000 + i)
            yield StreamQuery(encode_jpeg(frame.pixels), label, "native", f"g{day_index}-{i}", (), "toy")

    monkeypatch.setattr(label_efficiency, "day_stream", toy_stream)
    observer = Observer(toy_models(), tmp_path / "features.sqlite", OCR_WIDTH)
    return lambda frames: label_efficiency.record_stream_labels(observer, 0, frames, tmp_path / "labels"), calls


def test_stream_labels__blocks_are_made_once_and_from_days_of_their_own(stream):
    made, calls = stream
    few, more = made(70), made(100)
    assert (len(few), len(more), len(set(calls)), len(calls)) == (70, 100, 2, 2)
    assert more.ids[:70] == few.ids
    assert np.array_equal(more.features[:70], few.features)
    assert set(few.labels.tolist()) == {0, 1}
    with pytest.raises(DataError, match="FRAMES"):
        made(0)


def test_label_curves__each_stream_under_its_own_plan(stream):
    made, _ = stream
    plan = LabelPlan(start=10, batch=10, most=40, seeds=2)
    [(name, curves)] = label_efficiency.label_curves(MiningSettings(), {"toy": made(120)}, {"toy": plan}).items()
    assert (name, list(curves.labels)) == ("toy", [10, 20, 30, 40])
    assert all(values.shape == (2, 4) for values in curves.mcc.values())


def test_label_ratios__what_the_random_start_reaches_tells_nothing():
    slow, fast = np.tile([0.2, 0.4, 0.6, 0.8], (3, 1)), np.tile([0.2, 0.6, 0.8, 0.9], (3, 1))
    curves = LabelCurves([10, 20, 30, 40], {"mined": fast, "random": slow})
    told = label_efficiency.label_ratios({"toy": curves}, (0.2, 0.6, 0.85, 0.95))
    assert [row["mcc"] for row in told] == [0.6, 0.85]
    assert told[0] | {"ratio": 1.5, "low": 1.5, "high": 1.5, "labels": 20.0, "labels_random": 30.0} == told[0]
    assert (told[1]["ratio"], told[1]["reached"]) == (None, 0.0)


def test_photo_labels__a_photo_counts_once_and_none_is_unlabelled():
    table = label_efficiency.photo_labels()
    assert set(table.labels.tolist()) == {0, 1}
    assert set(table.eras) == {"native"}
