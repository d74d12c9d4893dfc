from streetvision_core.models.vlm.residency import Residency


class Model:
    def __init__(self, name, loads):
        self.name = name
        loads.append(name)


def used(budget, *names, size=6):
    loads = []
    memory = Residency(lambda: budget)
    for name in names:
        with memory.use(name, size, lambda name=name: Model(name, loads)) as model:
            assert model.name == name
    return memory, "".join(loads)


def test_use__both_stay_where_they_fit():
    memory, loads = used(12, *"ababa")
    assert loads == "ab"
    assert memory.resident == ("b", "a")
    assert memory.bytes == 12


def test_use__one_at_a_time_where_memory_is_short():
    memory, loads = used(11, *"aabba")
    assert loads == "aba"
    assert memory.resident == ("a",)


def test_use__the_least_recently_used_goes_first():
    memory, loads = used(12, *"abac")
    assert loads == "abc"
    assert memory.resident == ("a", "c")


def test_use__larger_than_the_budget_is_tried_alone():
    memory, _ = used(5, *"ab")
    assert memory.resident == ("b",)


def test_use__a_load_that_fails_leaves_nothing_behind():
    memory = Residency(lambda: 10)
    try:
        with memory.use("a", 1, lambda: 1 / 0):
            pass
    except ZeroDivisionError:
        pass
    assert memory.resident == ()
