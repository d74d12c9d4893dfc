import asyncio
import time

import pytest

from streetvision_core.errors import RegistryError
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


def served_by(world):
    """A watcher after a restart: nothing serves yet."""
    world.slot = EngineSlot(world.metrics.observe_swap)
    world.watcher = Watcher(world.champions, world.slot, 0.01, world.metrics)
    return world.look()


def three_versions(world):
    names = [world.version(content) for content in (b"1", b"2", b"3")]
    world.registry.install_first(names[0], by="a test")
    for name in names[1:]:
        world.registry.promote(name, Override("a test", "to see it served"))
    return names


def test_restart__the_newest_earlier_champion_that_is_whole_stands_in_and_says_so(world):
    first, second, third = three_versions(world)
    (world.registry.root / third / "head.json").write_bytes(b"damaged")
    assert served_by(world) == second
    assert world.slot.current.facts.instead_of == third
    labels = {"server": "local", "version": second, "instead_of": third}
    assert world.metrics.registry.get_sample_value("sv_model_stand_in", labels) == 1
    assert (world.count("failed"), world.count("stand-in")) == (1, 1)
    (world.registry.root / second / "manifest.json").unlink()
    assert served_by(world) == first
    (world.registry.root / third / "head.json").write_bytes(b"3")  # brought back from a backup
    time.sleep(0.05)
    assert world.look() == third
    assert world.slot.current.facts.instead_of == ""
    assert world.metrics.registry.get_sample_value("sv_model_stand_in", labels) is None


def test_restart__a_version_a_person_rolled_back_does_not_stand_in(world):
    first, second, _ = three_versions(world)
    world.registry.rollback("a test", "it sees ghosts everywhere")
    (world.registry.root / second / "head.json").write_bytes(b"damaged")
    assert served_by(world) == first


@pytest.mark.parametrize("harm", ["edited", "cut"])
def test_restart__a_damaged_history_serves_what_is_whole_of_it(world, harm):
    _, second, third = three_versions(world)
    path = world.registry.promotions.path
    lines = path.read_bytes().splitlines(keepends=True)
    whole = b"".join(lines)
    path.write_bytes(b"".join([*lines[:2], b"{}\n"] if harm == "edited" else lines[:2]))
    assert served_by(world) == second
    assert "cannot be read" in world.slot.current.facts.instead_of
    path.write_bytes(whole)
    assert world.look() == third
    assert world.slot.current.facts.instead_of == ""


def test_restart__nothing_that_can_serve_is_tried_after_growing_pauses(tmp_path):
    world = World(tmp_path, seconds=30)
    world.broken.add(world.version(b"1"))
    world.registry.install_first("v0001", by="a test")
    path = world.registry.promotions.path
    path.write_bytes(path.read_bytes() + b"{}\n")
    assert world.look(times=5) is None
    assert len(world.loads) == 1


def test_restart__a_stand_in_that_becomes_champion_no_longer_stands_in(world):
    _, second, third = three_versions(world)
    (world.registry.root / third / "head.json").write_bytes(b"damaged")
    assert served_by(world) == second
    world.registry.rollback("a test", "the third is damaged")
    loads = list(world.loads)
    assert world.look() == second
    assert world.slot.current.facts.instead_of == ""
    assert world.loads == loads, "it serves already"


def test_look__a_version_pinned_in_the_registry_serves_until_it_is_unpinned(world):
    first, _, third = three_versions(world)
    assert world.look() == third
    world.registry.pin(first, "a test", "as shown at the fair")
    assert world.look() == first
    world.registry.unpin("a test")
    assert world.look() == third


def test_champions__a_pin_of_what_nobody_put_up_for_service_is_refused(world):
    first, second = world.version(b"1"), world.version(b"2")
    world.registry.install_first(first, by="a test")
    with pytest.raises(RegistryError, match="which nobody has put up for service"):
        RegistryChampions(world.registry, world.load, second).name()
    world.registry.note_import(second, "a test", "elsewhere")
    with pytest.raises(RegistryError, match="which nobody has put up for service"):
        RegistryChampions(world.registry, world.load, second).name()
