"""Sessions: lone calls and calls side by side answer alike, errors come through, nested work does not lock up."""

import threading
import time

import numpy as np
import pytest

from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.backbone import load_backbone
from streetvision_core.models.features import extract
from streetvision_core.models.session import Session, each, stopwatch
from streetvision_core.types import Frame


def test_each__keeps_the_order_and_runs_side_by_side():
    both_here = threading.Barrier(2, timeout=10)  # broken unless two items run at the same time

    def meet(number):
        both_here.wait()
        return number * 2

    assert each(meet, range(6), threads=2) == [0, 2, 4, 6, 8, 10]


def test_each__one_thread_stays_in_its_own():
    assert each(lambda _: threading.get_ident(), range(3), threads=1) == [threading.get_ident()] * 3


def test_each__within_each_does_not_wait_for_itself():
    assert each(lambda n: each(lambda m: (n, m), range(2), threads=2), range(4), threads=2) == [
        [(n, 0), (n, 1)] for n in range(4)
    ]


@pytest.mark.parametrize("threads", [1, 2])
def test_stopwatch__measures_each_item_in_order_and_nothing_within(threads):
    def work(seconds):
        each(time.sleep, [seconds / 2, seconds / 2], threads=2)
        return seconds

    with stopwatch() as seconds:
        assert each(work, [0.2, 0.02], threads) == [0.2, 0.02]
    assert len(seconds) == 2 and seconds[0] >= 0.1 and seconds[0] > 3 * seconds[1]
    each(work, [0.0], threads)
    assert len(seconds) == 2, "it has ended"


def test_each__error_reaches_the_caller():
    def fail(number):
        if number == 1:
            raise ValueError("one")
        return number

    with pytest.raises(ValueError, match="one"):
        each(fail, range(3), threads=2)


def test_features__batch_equals_one_by_one(tmp_path):
    rng = np.random.default_rng(0)
    frames = [Frame.from_pixels(rng.integers(0, 255, (60, 90, 3), np.uint8), str(i)) for i in range(3)]
    backbone, views = load_backbone("efficientnet-lite2", 2, tmp_path), get_preprocessor("letterbox-260/1")
    alone = np.concatenate([extract([frame], backbone, views) for frame in frames])
    np.testing.assert_allclose(extract(frames, backbone, views), alone, atol=1e-5)


def test_session__no_model_is_a_named_error():
    with pytest.raises(ModelError, match="broken"):
        Session(b"no model", "broken.onnx", 1)
