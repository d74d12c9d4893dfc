import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.errors import OverloadedError
from streetvision_core.serving.admission import WAIT_SECONDS, ByteBudget, Places


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
    now = [0.0]
    places = Places(100, lambda: now[0])
    with places.take(1):
        for _ in range(40):
            now[0] += seconds
            places.note_done()
    now[0] += 100.0  # while there is nothing to do, no time passes
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


def test_places__one_caller_has_a_third_while_others_wait():
    now = [0.0]
    places = Places(30, lambda: now[0])
    with places.take(25, "greedy"):
        with places.take(2, "other"):
            pass
        with (
            pytest.raises(OverloadedError, match="of a caller that has 25 waiting; allowed: 10"),
            places.take(1, "greedy"),
        ):
            pass
        now[0] += WAIT_SECONDS + 1  # nobody else has come again
        with places.take(5, "greedy"):
            pass
    # a caller's only request may be larger than its share
    with places.take(1, "other"), places.take(16, "greedy"), pytest.raises(OverloadedError):
        places.take(1, "greedy").__enter__()


def test_places__a_refused_caller_finds_room_when_it_comes_again():
    now = [0.0]
    places = Places(4, lambda: now[0])
    first, second = places.take(3, "greedy"), places.take(1, "greedy")
    first.__enter__(), second.__enter__()
    with pytest.raises(OverloadedError), places.take(1, "other"):
        pass
    second.__exit__(None, None, None)
    with pytest.raises(OverloadedError), places.take(1, "greedy"):
        pass
    with places.take(1, "other"):
        pass
    first.__exit__(None, None, None)
    assert places.used == 0


def test_places__what_would_come_too_late_is_refused_at_once():
    now = [0.0]
    places = Places(64, lambda: now[0])
    with places.take(8):
        for _ in range(8):
            now[0] += 0.5
            places.note_done()
    with places.take(4, seconds=9.0), pytest.raises(OverloadedError, match=r"would take 10\.0 s with the 4"):
        places.take(16, seconds=9.0).__enter__()
    with places.take(16, seconds=9.0):
        pass
    with places.take(1, seconds=0.1):  # a lone image is always tried: what is known may be out of date
        pass


def test_byte_budget__one_caller_holds_a_third_while_others_hold_some():
    budget = ByteBudget(90)
    with budget.reserve("greedy") as first, budget.reserve("greedy") as second, budget.reserve("other") as other:
        first.grow_to(60)
        with pytest.raises(OverloadedError, match="60 bytes of one caller"):
            second.grow_to(1)
        other.grow_to(30)
        with pytest.raises(OverloadedError, match="at a time"):
            first.grow_to(61)
    assert budget.used == 0


def test_byte_budget__one_request_always_fits():
    budget = ByteBudget(90, least=80)
    with budget.reserve("caller") as held:
        held.grow_to(80)
