"""The short form of `tests/perf/soak.py`: model servers are killed under load, and no accepted request is lost."""

import pytest

from tests.perf.soak import soak

pytestmark = pytest.mark.slow


def test_serve__random_kills_lose_nothing_and_answer_nothing_wrongly(tmp_path):
    result = soak(tmp_path, seconds=8, connections=6)
    assert result["kills"] >= 2
    assert result["answered"] > 50
    assert (result["wrong"], result["lost"]) == (0, 0), result
