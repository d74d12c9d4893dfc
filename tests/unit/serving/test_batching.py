import asyncio
import threading
from contextlib import suppress

import numpy as np
import pytest

from streetvision_core.errors import EngineError, NotReadyError
from streetvision_core.serving.batching import Batcher
from streetvision_core.serving.engine import EngineSlot, LiveEngine, warm_up
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.stub import StubEngine
from streetvision_core.types import Frame


class GatedEngine(StubEngine):
    """Waits in front of a gate, and writes down the batches it got."""

    def __init__(self):
        super().__init__("gated")
        self.batches = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.gate.set()

    def predict(self, frames):
        self.batches.append([f.source for f in frames])
        self.entered.set()
        assert self.gate.wait(10)
        return super().predict(frames)


def frames(n):
    return [Frame.from_pixels(np.full((4, 4, 3), 10 * i, np.uint8), f"f{i}") for i in range(n)]


def run(scenario, engine=None, max_images=4, wait_seconds=0.2):
    async def main():
        slot = EngineSlot()
        if engine is not None:
            slot.current = warm_up(engine)
            getattr(engine, "batches", []).clear()
        batcher = Batcher(slot, max_images, wait_seconds, ModelMetrics())
        batcher.start()
        try:
            return await scenario(batcher, slot)
        finally:
            await batcher.stop(1)

    return asyncio.run(asyncio.wait_for(main(), 20))


async def until(event):
    await asyncio.to_thread(event.wait, 10)


def test_answer__each_caller_gets_its_own_frames_verdict():
    engine = GatedEngine()

    async def scenario(batcher, _):
        return await asyncio.gather(*(batcher.answer(f) for f in frames(20)))

    verdicts = run(scenario, engine)
    expected = engine.predict(frames(20))
    assert [v.p_roadwork for v in verdicts] == [v.p_roadwork for v in expected]


def test_answer__a_lone_frame_is_not_kept_waiting():
    async def scenario(batcher, _):
        loop = asyncio.get_running_loop()
        started = loop.time()
        await batcher.answer(frames(1)[0])
        return loop.time() - started

    assert run(scenario, GatedEngine(), wait_seconds=5) < 2


def test_answer__waits_for_frames_on_their_way():
    engine = GatedEngine()

    async def scenario(batcher, _):
        async def late(frame):
            with batcher.expecting():
                await asyncio.sleep(0.05)
            return await batcher.answer(frame)

        first, second = frames(2)
        return await asyncio.gather(late(second), batcher.answer(first))

    run(scenario, engine, wait_seconds=5)
    assert sorted(engine.batches[0]) == ["f0", "f1"]


def test_answer__does_not_wait_longer_than_it_may():
    engine = GatedEngine()

    async def scenario(batcher, _):
        with batcher.expecting():  # one that never comes
            return await batcher.answer(frames(1)[0])

    run(scenario, engine, wait_seconds=0.02)
    assert engine.batches == [["f0"]]


def test_answer__batches_gather_while_the_model_works_and_are_bounded():
    engine = GatedEngine()

    async def scenario(batcher, _):
        engine.gate.clear()
        engine.entered.clear()
        first, *rest = frames(10)
        jobs = [asyncio.create_task(batcher.answer(first))]
        await until(engine.entered)
        jobs += [asyncio.create_task(batcher.answer(f)) for f in rest]
        await asyncio.sleep(0)
        engine.gate.set()
        await asyncio.gather(*jobs)

    run(scenario, engine, max_images=4)
    assert [len(b) for b in engine.batches] == [1, 4, 4, 1]


def test_answer__a_cancelled_caller_takes_its_frame_along():
    engine = GatedEngine()

    async def scenario(batcher, _):
        engine.gate.clear()
        engine.entered.clear()
        first, second, third = frames(3)
        running = asyncio.create_task(batcher.answer(first))
        await until(engine.entered)
        queued, kept = asyncio.create_task(batcher.answer(second)), asyncio.create_task(batcher.answer(third))
        await asyncio.sleep(0)
        for job in (queued, running):
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
        engine.gate.set()
        return await kept

    run(scenario, engine)
    assert engine.batches == [["f0"], ["f2"]]


def test_answer__a_batch_in_flight_finishes_on_the_engine_it_began_with():
    old, new = GatedEngine(), StubEngine("new")

    async def scenario(batcher, slot):
        old.gate.clear()
        old.entered.clear()
        first, second = frames(2)
        running = asyncio.create_task(batcher.answer(first))
        await until(old.entered)
        slot.swap(warm_up(new))
        after = asyncio.create_task(batcher.answer(second))
        await asyncio.sleep(0)
        old.gate.set()
        return (await running).model_version, (await after).model_version

    assert run(scenario, old) == ("gated", "new")


def test_answer__engine_that_dies_gives_each_caller_a_named_error_and_goes_on():
    class Moody(StubEngine):
        dead = False

        def predict(self, frames):
            if self.dead:
                raise MemoryError
            return super().predict(frames)

    engine = Moody()

    async def scenario(batcher, _):
        engine.dead = True
        failed = await asyncio.gather(*(batcher.answer(f) for f in frames(3)), return_exceptions=True)
        engine.dead = False
        return failed, await batcher.answer(frames(1)[0])

    failed, answered = run(scenario, engine)
    assert [type(f) for f in failed] == [EngineError] * 3
    assert answered.model_version == "stub"


def test_answer__without_a_model_is_named():
    async def scenario(batcher, _):
        with pytest.raises(NotReadyError):
            await batcher.answer(frames(1)[0])

    run(scenario)


def test_stop__answers_what_is_queued():
    engine = StubEngine(seconds_per_image=0.01)

    async def scenario(batcher, _):
        jobs = [asyncio.create_task(batcher.answer(f)) for f in frames(10)]
        await asyncio.sleep(0)
        await batcher.stop(10)
        return [job.result().model_version for job in jobs]

    assert run(scenario, engine) == ["stub"] * 10


def test_stop__a_model_that_hangs_does_not_keep_the_server_and_nobody_waits_for_ever():
    engine = GatedEngine()

    async def scenario(batcher, _):
        engine.gate.clear()
        engine.entered.clear()
        running = asyncio.create_task(batcher.answer(frames(1)[0]))
        await until(engine.entered)
        queued = asyncio.create_task(batcher.answer(frames(2)[1]))
        await asyncio.sleep(0)
        await batcher.stop(0.05)
        engine.gate.set()
        return await asyncio.gather(running, queued, return_exceptions=True)

    assert [type(e) for e in run(scenario, engine)] == [NotReadyError, NotReadyError]


def test_live_engine__is_compared_by_identity():
    a, b = warm_up(StubEngine()), warm_up(StubEngine())
    assert isinstance(a, LiveEngine)
    assert a != b


class StagedGate(GatedEngine):
    """Knows half after its first stage, then waits in front of the gate."""

    def predict_watched(self, frames, watch):
        half = StubEngine("half").predict(frames)
        self.goes_on = [watch(i, verdict) for i, verdict in enumerate(half)]
        done = self.predict(frames)
        self.still_wanted = [watch(i, verdict) for i, verdict in enumerate(half)]
        return done


def test_answer_until__best_evidence_so_far_at_the_deadline():
    engine = StagedGate()

    async def scenario(batcher, _):
        engine.gate.clear()
        loop = asyncio.get_running_loop()
        first, second = frames(2)
        told = await batcher.answer_until(first, loop.time() + 0.1)
        with pytest.raises(TimeoutError):  # still queued: nothing is known of it
            await batcher.answer_until(second, loop.time() + 0.05)
        engine.gate.set()
        return told, await batcher.answer_until(first, loop.time() + 5)

    hurried, whole = run(scenario, engine)
    assert (hurried.verdict.model_version, hurried.complete) == ("half", False)
    assert (whole.verdict.model_version, whole.complete) == ("gated", True)


def test_answer__a_frame_nobody_waits_for_is_left_out_of_the_later_stages():
    engine = StagedGate()

    async def scenario(batcher, _):
        engine.gate.clear()
        engine.entered.clear()
        job = asyncio.create_task(batcher.answer(frames(1)[0]))
        await until(engine.entered)
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job
        engine.gate.set()
        await batcher.stop(5)

    run(scenario, engine)
    assert (engine.goes_on, engine.still_wanted) == ([True], [False])
