"""The short form of `tests/perf/soak.py`: model servers are killed under load, and no accepted request is lost."""

import pytest

from tests.perf.soak import soak

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_serve__random_kills_lose_nothing_and_answer_nothing_wrongly(tmp_path):
    result = soak(tmp_path, seconds=240, connections=6, kills=3, patient=True)
    assert result["kills"] == 3
    assert result["answered"] > 30
    assert (result["wrong"], result["lost"]) == (0, 0), result
