import numpy as np
import pytest

from streetvision_core.data.scenes import drive
from streetvision_core.data.scenes._stage import build_world
from streetvision_core.data.scenes._view import look


@pytest.fixture(scope="module")
def ride():
    return list(drive(11, 40))


def test_drive__frames_belong_together(ride):
    assert len(ride) == 40
    assert {scene.group for scene in ride} == {"drive-11"}
    assert len({scene.frame.sha256 for scene in ride}) == 40


def test_drive__the_label_turns_as_the_zone_comes_into_view(ride):
    labels = [scene.label for scene in ride]
    assert labels[0] == 0 and sum(labels) > 4
    assert all(scene.label == int(bool(scene.boxes)) for scene in ride)


def test_drive__without_roadwork_has_no_boxes():
    assert all(scene.label == 0 and scene.boxes == () for scene in drive(12, 6, roadwork=False))


def test_drive__starts_like_its_first_frame_again():
    first, again = next(iter(drive(13, 8))), next(iter(drive(13, 8)))
    assert first.frame.sha256 == again.frame.sha256


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_drive__the_nearest_device_comes_closer_and_grows(seed):
    world = build_world(seed, 20.0, 90.0)
    tracks: dict[int, list[tuple[float, float]]] = {}
    for step in range(9):
        for number, item in enumerate(_devices(world, step * 0.5)):
            if item is not None:
                tracks.setdefault(number, []).append(item)
    long = [track for track in tracks.values() if len(track) >= 4]
    assert long
    for track in long:
        meters, heights = np.array([t[0] for t in track]), np.array([t[1] for t in track])
        assert (np.diff(meters) < 0).all() and (np.diff(heights) > 0).all()
        # the size of one thing times its distance stays the same; perspective of deep things bends it a little
        product = meters * heights
        assert product.std() / product.mean() < 0.12


def _devices(world, seconds):
    """(metres, full height) of every static device by its place in the world, None where it is not in view."""
    from streetvision_core.data.scenes._view import camera_at, full_boxes, place_items

    s = world.speed * seconds
    camera = camera_at(world, 480, 270, s)
    placed = {id(p.item): p for p in place_items(world.items, world.road, camera, s, seconds)}
    for item in world.items:
        entry = placed.get(id(item)) if item.label in ("cone", "drum", "sign", "worker") else None
        box = full_boxes([entry], camera)[0] if entry is not None else None
        if entry is None or box is None:
            yield None
            continue
        meters = float(np.linalg.norm((entry.position - camera.position)[[0, 2]]))
        yield (meters, box[3] - box[1]) if meters > 8 else None


def test_look__a_device_behind_a_wall_has_no_box():
    from dataclasses import replace

    from streetvision_core.data.scenes import _buildings
    from streetvision_core.data.scenes._world import Item

    world = build_world(31, 0.0, 20.0, [])
    assert any(s.box for s in look(world, 480, 270).sightings)
    wall = Item(_buildings.block(0, False), 8.0, 0.0, -np.pi / 2)
    blocked = replace(world, items=(*world.items, wall))
    assert sum(s.box is not None for s in look(blocked, 480, 270).sightings) < sum(
        s.box is not None for s in look(world, 480, 270).sightings
    )
