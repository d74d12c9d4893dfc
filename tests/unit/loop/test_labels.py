import numpy as np
import pytest

from streetvision_core.errors import DataError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.loop import tasks
from streetvision_core.loop.tasks import labels
from streetvision_core.loop.tasks.day import Day
from streetvision_core.mining.efficiency import LabelCurves, LabelPlan
from streetvision_core.mining.stream import StreamQuery
from tests.unit.cascade.toy_street import toy_frame, toy_models, toy_settings


@pytest.fixture
def day(tmp_path, monkeypatch):
    calls = []

    def toy_stream(day_index, n, seed=0):
        calls.append(day_index)
        for i in range(n):
            frame, label = toy_frame(day_index * 1000 + i)
            yield StreamQuery(encode_jpeg(frame.pixels), label, "native", f"g{day_index}-{i}", (), "toy")

    monkeypatch.setattr(labels, "day_stream", toy_stream)
    settings = toy_settings(alpha=0.1)
    paths = settings.paths.model_copy(update={"home": tmp_path})
    made = Day(settings.model_copy(update={"paths": paths}), None)
    made.__dict__["models"] = toy_models()
    return made, calls


def test_stream_labels__blocks_are_made_once_and_from_days_of_their_own(day):
    made, calls = day
    few = tasks.stream_labels(made, 70)
    more = tasks.stream_labels(made, 100)
    assert (len(few), len(more), len(set(calls)), len(calls)) == (70, 100, 2, 2)
    assert more.ids[:70] == few.ids
    assert np.array_equal(more.features[:70], few.features)
    assert set(few.labels.tolist()) == {0, 1}
    with pytest.raises(DataError, match="FRAMES"):
        tasks.stream_labels(made, 0)


def test_label_curves__each_stream_under_its_own_plan(day):
    made, _ = day
    plan = LabelPlan(start=10, batch=10, most=40, seeds=2)
    [(name, curves)] = tasks.label_curves(made, {"toy": tasks.stream_labels(made, 120)}, {"toy": plan}).items()
    assert (name, list(curves.labels)) == ("toy", [10, 20, 30, 40])
    assert all(values.shape == (2, 4) for values in curves.mcc.values())


def test_label_ratios__what_the_random_start_reaches_tells_nothing():
    slow, fast = np.tile([0.2, 0.4, 0.6, 0.8], (3, 1)), np.tile([0.2, 0.6, 0.8, 0.9], (3, 1))
    curves = LabelCurves([10, 20, 30, 40], {"mined": fast, "random": slow})
    told = tasks.label_ratios({"toy": curves}, (0.2, 0.6, 0.85, 0.95))
    assert [row["mcc"] for row in told] == [0.6, 0.85]
    assert told[0] | {"ratio": 1.5, "low": 1.5, "high": 1.5, "labels": 20.0, "labels_random": 30.0} == told[0]
    assert (told[1]["ratio"], told[1]["reached"]) == (None, 0.0)


def test_photo_labels__a_photo_counts_once_and_none_is_unlabelled():
    table = tasks.photo_labels()
    assert set(table.labels.tolist()) == {0, 1}
    assert set(table.eras) == {"native"}
