import pytest

from streetvision_core.data.looks import Look, Looks


def test_looks__repeating_adds_nothing_and_another_set_starts_anew(tmp_path):
    looks = Looks(tmp_path / "looks.json", "set-a")
    looks.add(Look("t", "v1", "by mode", 12.0))
    looks.add(Look("t", "v1", "by mode", 12.0))
    looks.add(Look("t", "v2", "better?", 1.0, 0.9))
    again = Looks(tmp_path / "looks.json", "set-a")
    assert (len(again.looks), again.bits, again.best) == (2, 13.0, 0.9)
    other = Looks(tmp_path / "looks.json", "set-b")
    assert (other.bits, other.best) == (0, None)
    other.add(Look("t", "v1", "by mode", 3.0))
    assert Looks(tmp_path / "looks.json", "set-a").bits == 13.0
    assert again.trust(100) > other.trust(100) > 0.1


def test_looks__a_question_always_denied_costs_one_bit_however_often_it_is_asked(tmp_path):
    looks = Looks(tmp_path / "looks.json", "set-a")
    looks.add(Look("t", "v0", "breakdown", 4.0))
    for number in range(200):
        looks.add(Look("t", f"v{number}", "better?", 1.0, 0.9, yes=False))
    assert looks.bits == 5.0
    looks.add(Look("t", "v200", "better?", 1.0, 0.92, yes=True))
    assert Looks(tmp_path / "looks.json", "set-a").bits == looks.bits > 5.0 + 7
    assert looks.best == pytest.approx(0.92)
