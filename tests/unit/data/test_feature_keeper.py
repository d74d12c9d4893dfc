"""What a server has seen is in the store for the night; the disk never holds an answer up."""

import threading

import numpy as np
import pytest

from streetvision_core.data.feature_keeper import FeatureKeeper
from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.errors import StorageError

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_keep__the_rows_lie_in_the_store(tmp_path):
    store = FeatureStore(tmp_path / "features.sqlite")
    keeper = FeatureKeeper(store)
    assert keeper.keep(["a", "b"], "make", ROWS)
    keeper.close()
    np.testing.assert_array_equal(store.get(["b"], "make")["b"], ROWS[1])


class Slow:
    """A disk that stands still until it is told to go on."""

    def __init__(self):
        self.go_on = threading.Event()
        self.written = 0

    def put(self, digests, make, rows):
        assert self.go_on.wait(10)
        self.written += 1


def test_keep__what_a_slow_disk_cannot_take_is_left_out():
    slow = Slow()
    keeper = FeatureKeeper(slow, waiting=2)
    assert [keeper.keep(["a"], "make", ROWS[:1]) for _ in range(4)] == [True, True, False, False]
    slow.go_on.set()
    keeper.close()
    assert slow.written == 2


class Full:
    def put(self, digests, make, rows):
        raise StorageError("a full disk", "room", "free space")


@pytest.mark.parametrize("times", [1, 5])
def test_keep__a_full_disk_costs_rows_and_no_place(times):
    keeper = FeatureKeeper(Full(), waiting=1)
    for _ in range(times):
        while not keeper.keep(["a"], "make", ROWS[:1]):
            pass
    keeper.close()
