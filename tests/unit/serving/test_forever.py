import asyncio

import pytest

from streetvision_core.serving import _forever
from streetvision_core.serving._forever import forever
from streetvision_core.serving.model_metrics import FleetMetrics


def test_forever__what_a_round_raises_is_counted_and_the_next_one_comes(monkeypatch):
    monkeypatch.setattr(_forever, "FIRST_PAUSE_SECONDS", 0.001)
    metrics, rounds = FleetMetrics(), []

    async def work():
        rounds.append(1)
        if len(rounds) in (2, 3):
            raise [ZeroDivisionError(), RecursionError()][len(rounds) - 2]

    async def scenario():
        task = asyncio.create_task(forever("a task", work, metrics.failures))
        while len(rounds) < 10:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(scenario(), 20))
    assert metrics.registry.get_sample_value("sv_background_failures_total", {"task": "a task"}) == 2


def test_forever__pauses_grow_while_it_fails_and_begin_again_after_a_round_that_went_well(monkeypatch):
    pauses, rounds = [], []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 12:
            raise asyncio.CancelledError

    async def work():
        rounds.append(1)
        if len(rounds) != 10:
            raise ValueError("odd")

    monkeypatch.setattr(_forever.asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(forever("a task", work, FleetMetrics().failures, 0.5))
    assert pauses == [0.5, 0.5, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 0.5, 0.5, 0.5]
