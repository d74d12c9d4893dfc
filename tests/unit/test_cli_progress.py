"""What long commands say while they work."""

import time

import pytest

from streetvision_core.cli._progress import Pace, waiting_for


def test_pace__says_how_far_how_fast_and_how_long_still(capsys):
    total = None
    pace = Pace("answered", lambda: total, every_seconds=0.0)
    pace.at(0)
    assert capsys.readouterr().err == ""
    pace.at(5)
    assert capsys.readouterr().err.startswith("answered 5, ")
    total = 20
    pace.at(10)
    said = capsys.readouterr().err
    assert said.startswith("answered 10 of 20, ") and "s to go" in said
    pace.at(20)
    assert "to go" not in capsys.readouterr().err


def test_pace__keeps_quiet_between_two_lines(capsys):
    pace = Pace("answered", lambda: None, every_seconds=60.0)
    for done in range(100):
        pace.at(done)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "says"), [(0.0, ""), (0.5, "loading the models…\n")])
def test_waiting_for__speaks_when_it_takes_long(capsys, seconds, says):
    with waiting_for("loading the models", after_seconds=0.1):
        time.sleep(seconds)
    assert capsys.readouterr().err == says
