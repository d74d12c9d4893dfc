import asyncio
import hashlib

import pytest

from streetvision_core.errors import EngineError, NotReadyError, OverloadedError
from streetvision_core.serving.admission import Places
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.serving.cache import MemoryCache
from streetvision_core.serving.gateway import Gateway
from streetvision_core.serving.log import LogWriter
from streetvision_core.serving.metrics import Metrics
from streetvision_core.settings import ServingSettings
from streetvision_core.types import Evidence, Verdict


def image(name):
    return Image(name.encode(), name, hashlib.sha256(name.encode()).hexdigest())


class Backend:
    """A backend of the kind that could lie behind a network: what it does follows from the image's name."""

    def __init__(self):
        self.asked = []
        self.now = ("v1", "certified")

    def identity(self, image=None):
        if self.now is None:
            raise NotReadyError("no model", "a model", "wait")
        return self.now

    def stages(self):
        return ("classifier",)

    def instead_of(self, version):
        return ""

    def reference(self, version):
        return ()

    async def answer(self, image, deadline=None, partial=False):
        self.asked.append(image.name)
        if image.name.startswith("fails"):
            raise EngineError("a failure", "a verdict", "look")
        if image.name.startswith("slow") and partial:
            await asyncio.sleep(max(0.0, deadline - asyncio.get_running_loop().time()))
            return self._seen(complete=False)
        if image.name.startswith("hangs"):
            await asyncio.Event().wait()
        return self._seen(image.name.startswith("blind"))

    def _seen(self, blind=False, complete=True):
        seen = () if blind else (Evidence("classifier", {"logit": 1.0}),)
        verdict = Verdict(0.9, "classifier", True, seen, *self.now, 0.01)
        return Answer(verdict, 4, 3, "native", complete)


class World:
    def __init__(self, places=4):
        self.backend, self.metrics, self.places = Backend(), Metrics(), Places(places)
        log = LogWriter(None, ServingSettings(), self.metrics)
        self.gateway = Gateway(self.backend, MemoryCache(10, 60), log, self.places, self.metrics)

    async def ask(self, *names, seconds=5.0, partial=False):
        deadline = asyncio.get_running_loop().time() + seconds
        outcomes = await self.gateway.answer([image(n) for n in names], deadline, "test", partial=partial)
        return [(type(o.answer).__name__, o.cached) for o in outcomes]


def run(*calls, places=4):
    """The results of calls such as ("a", "b") or a function of the world, one after the other."""
    world = World(places)

    async def main():
        return [await call(world) if callable(call) else await world.ask(*call) for call in calls]

    return asyncio.run(asyncio.wait_for(main(), 10)), world


def test_answer__keeps_order_and_asks_only_for_what_is_not_known():
    results, world = run(("a", "b"), ("b", "c", "a"))
    assert results == [[("Answer", False)] * 2, [("Answer", True), ("Answer", False), ("Answer", True)]]
    assert world.backend.asked == ["a", "b", "c"]


def test_answer__one_failure_is_one_failure():
    results, world = run(("a", "fails", "b"))
    assert results == [[("Answer", False), ("EngineError", False), ("Answer", False)]]
    assert world.metrics.registry.get_sample_value("sv_rejects_total", {"reason": "EngineError"}) == 1


def test_answer__failures_and_answers_without_evidence_are_asked_again():
    _, world = run(("fails",), ("fails",), ("blind",), ("blind",))
    assert world.backend.asked == ["fails", "fails", "blind", "blind"]


def test_answer__another_version_is_asked_anew():
    async def promote(world):
        world.backend.now = ("v2", "certified")

    _, world = run(("a",), promote, ("a",))
    assert world.backend.asked == ["a", "a"]


def test_answer__deadline_frees_the_places():
    async def late(world):
        return await world.ask("hangs1", "a", "hangs2", seconds=0.05), world.places.used

    results, _ = run(late)
    assert results == [([("DeadlineError", False), ("Answer", False), ("DeadlineError", False)], 0)]


def test_answer__known_images_need_no_place():
    async def crowd(world):
        with world.places.take(4):
            known = await world.ask("a")
            with pytest.raises(OverloadedError):
                await world.ask("new")
        return known

    results, _ = run(("a",), crowd)
    assert results[1] == [("Answer", True)]


def test_answer__cancelling_frees_the_places():
    async def leave(world):
        job = asyncio.create_task(world.ask("hangs1", "hangs2"))
        await asyncio.sleep(0.02)
        used = world.places.used
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        return used, world.places.used

    assert run(leave)[0] == [(2, 0)]


def test_answer__no_model_is_named():
    async def unload(world):
        world.backend.now = None
        with pytest.raises(NotReadyError):
            await world.ask("a")

    run(unload)


def test_answer__best_evidence_so_far_comes_before_the_deadline_and_is_not_remembered():
    async def hurried(world):
        loop = asyncio.get_running_loop()
        ends = loop.time() + 0.3
        told = await world.ask("slow", "a", seconds=0.3, partial=True)
        return told, loop.time() < ends

    results, world = run(hurried, ("a",), hurried)
    assert results == [
        ([("Answer", False), ("Answer", False)], True),
        [("Answer", True)],
        ([("Answer", False), ("Answer", True)], True),
    ]
    assert world.backend.asked == ["slow", "a", "slow"]
