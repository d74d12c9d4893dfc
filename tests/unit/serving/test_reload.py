import asyncio
import time

import pytest

from streetvision_core.registry.decision import Override
from streetvision_core.registry.versions import Registry
from streetvision_core.serving.engine import EngineSlot, warm_up
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.reload import RegistryChampions, Watcher
from streetvision_core.serving.stub import StubEngine


class World:
    """A registry, what its loader may do, and a watcher over it."""

    def __init__(self, root, seconds=0.01):
        self.registry = Registry(root)
        self.broken = set()
        self.loads = []
        self.metrics = ModelMetrics()
        self.slot = EngineSlot(self.metrics.observe_swap)
        self.champions = RegistryChampions(self.registry, self.load)
        self.watcher = Watcher(self.champions, self.slot, seconds, self.metrics)

    def load(self, version):
        self.loads.append(version.name)
        if version.name in self.broken:
            raise OSError("half a file")
        return StubEngine(version.name)

    def version(self, content):
        return self.registry.create({"head.json": content}, {"made_by": "a test"}).name

    def look(self, times=1):
        async def main():
            for _ in range(times):
                await self.watcher.look()

        asyncio.run(main())
        return self.slot.current.version if self.slot.current else None

    def count(self, outcome):
        return self.metrics.registry.get_sample_value("sv_reloads_total", {"outcome": outcome}) or 0


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_look__no_champion_leaves_the_slot_empty(world):
    assert world.look() is None


def test_look__loads_the_champion_once_and_follows_promotion_and_rollback(world):
    first, second = world.version(b"1"), world.version(b"2")
    world.registry.install_first(first, by="a test")
    assert world.look(times=3) == first
    world.registry.promote(second, Override("a test", "to see it served"))
    assert world.look(times=2) == second
    world.registry.rollback("a test", "to see it go back")
    assert world.look() == first
    assert world.loads == [first, second, first]
    assert (
        world.metrics.registry.get_sample_value(
            "sv_model_info", {"server": "local", "version": first, "policy": "stub"}
        )
        == 1
    )
    gone = {"server": "local", "version": second, "policy": "stub"}
    assert world.metrics.registry.get_sample_value("sv_model_info", gone) is None


def test_champions__a_pinned_version_serves_whatever_is_champion(world):
    first, second = world.version(b"1"), world.version(b"2")
    world.registry.install_first(first, by="a test")
    world.registry.challenge(second)
    pinned = [
        RegistryChampions(world.registry, world.load, pin).name() for pin in (None, "challenger", second, "v0001")
    ]
    assert pinned == [first, second, second, first]
    assert RegistryChampions(world.registry, world.load).facts(first).created is not None


def test_look__a_version_that_fails_leaves_the_old_one_serving_and_is_tried_again(world):
    first, second = world.version(b"1"), world.version(b"2")
    world.registry.install_first(first, by="a test")
    world.look()
    world.registry.promote(second, Override("a test", "to see it fail"))
    world.broken.add(second)
    assert world.look() == first
    assert world.count("failed") == 1
    world.broken.clear()
    time.sleep(0.02)
    assert world.look() == second


def test_look__tries_a_broken_version_after_growing_pauses_only(tmp_path):
    world = World(tmp_path, seconds=30)
    first = world.version(b"1")
    world.broken.add(first)
    world.registry.install_first(first, by="a test")
    world.look(times=5)
    assert world.loads == [first]


def test_look__damaged_files_are_never_loaded(world):
    first, second = world.version(b"1"), world.version(b"2")
    world.registry.install_first(first, by="a test")
    world.look()
    world.registry.promote(second, Override("a test", "to damage it"))
    (world.registry.root / second / "head.json").write_bytes(b"3")
    assert world.look() == first
    assert world.loads == [first]


def test_look__an_engine_that_cannot_answer_its_warm_up_frame_does_not_serve(world):
    class Mute(StubEngine):
        def predict(self, frames):
            return []

    first, second = world.version(b"1"), world.version(b"2")
    world.registry.install_first(first, by="a test")
    world.look()
    world.registry.promote(second, Override("a test", "to see it fail"))
    world.champions._load = lambda version: Mute()
    assert world.look() == first


def test_look__history_that_cannot_be_read_changes_nothing(world):
    first = world.version(b"1")
    world.registry.install_first(first, by="a test")
    world.look()
    path = world.registry.promotions.path
    path.write_bytes(b'{"seq": 1}\n' + path.read_bytes())
    assert world.look() == first
    assert world.count("unreadable") == 1


def test_watcher__does_not_load_again_what_was_given_at_the_start(world):
    first = world.version(b"1")
    world.registry.install_first(first, by="a test")
    world.slot.swap(warm_up(StubEngine(first)))
    world.watcher = Watcher(world.champions, world.slot, 1, world.metrics)
    assert world.look() == first
    assert world.loads == []
