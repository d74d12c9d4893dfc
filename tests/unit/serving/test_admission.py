import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import OverloadedError
from streetvision_core.serving.admission import ByteBudget, Places


def test_places__refuses_the_one_too_many_and_takes_all_or_none():
    places = Places(4)
    with places.take(3):
        text = "2 more images while 3 are waiting; allowed: 4 at a time"
        with pytest.raises(OverloadedError, match=text) as refused, places.take(2):
            pass
        assert refused.value.data == {"retry_after_seconds": 1}
        with places.take(1):
            assert places.used == 4
    assert places.used == 0


def test_places__are_free_again_after_an_error():
    places = Places(1)
    with pytest.raises(ValueError, match="boom"), places.take(1):
        raise ValueError("boom")
    assert places.used == 0


@pytest.mark.parametrize(
    ("waiting", "seconds", "retry"), [(0, 0.1, 1), (10, 0.05, 1), (10, 0.5, 5), (64, 0.5, 30), (3, 0.34, 2)]
)
def test_places__retry_is_what_the_queue_will_take(waiting, seconds, retry):
    places = Places(100)
    for _ in range(200):
        places.learn(seconds)
    with places.take(waiting):
        assert places.retry() == retry


@given(st.lists(st.integers(0, 40), max_size=30))
def test_reservation__budget_is_never_exceeded_and_always_given_back(sizes):
    budget = ByteBudget(100)
    with budget.reserve() as first, budget.reserve() as second:
        for i, size in enumerate(sizes):
            held = (first, second)[i % 2]
            try:
                held.grow_to(held.size + size)
            except OverloadedError:
                assert first.size + second.size + size > 100
            assert budget.used == first.size + second.size <= 100
    assert budget.used == 0
