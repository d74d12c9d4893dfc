import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision_core.data.scenes import _channelizers, _machines, _people, _vehicles
from streetvision_core.data.scenes._atlas import load_signs, sign_names
from streetvision_core.data.scenes._camera import Camera
from streetvision_core.data.scenes._canvas import Canvas, Paint, Texture
from streetvision_core.data.scenes._frame import device_modes
from streetvision_core.data.scenes._light import draw_light, light_modes
from streetvision_core.data.scenes._mesh import MeshBuilder
from streetvision_core.data.scenes._paint import Painter
from streetvision_core.data.scenes._view import Sighting
from streetvision_core.types import Box

PLAIN = Paint((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), 1.0)


def camera(pitch=0.0, yaw=0.0):
    return Camera.looking(960, 540, 750.0, np.array([0.0, 1.4, 0.0]), (yaw, pitch, 0.0))


@given(x=st.floats(-5, 5), y=st.floats(0, 4), z=st.floats(5, 100))
def test_camera__size_falls_as_one_over_depth(x, y, z):
    eye = camera()
    near = eye.project_polygon(np.array([[x, y, z], [x, y + 1, z], [x + 1, y, z]]))
    assert near[0, 1] - near[1, 1] == pytest.approx(750 / z) and near[2, 0] - near[0, 0] == pytest.approx(750 / z)


@given(pitch=st.floats(-0.2, 0.2))
def test_camera__far_ground_meets_the_horizon(pitch):
    eye = camera(pitch)
    far = eye.project_polygon(np.array([[0, 0, 1e6], [1, 0, 1e6], [0, 0, 2e6]]))
    assert far[0, 1] == pytest.approx(eye.horizon, abs=0.1)


def test_camera__rays_undo_projection():
    eye = camera(0.05, 0.1)
    across, along = eye.ray_parts(96, 54)
    assert eye.ray_parts(96, 54, 20)[1] == pytest.approx(along[20:])
    rays = across + along[:, None]
    for row, column in ((3, 5), (40, 80)):
        point = eye.position + 17.0 * rays[row, column]
        pixel = eye.to_pixels(eye.to_camera(point[None]))[0]
        assert pixel == pytest.approx([(column + 0.5) * 10, (row + 0.5) * 10], abs=1e-2)


def test_camera__cuts_polygons_that_reach_behind_the_lens():
    eye = camera()
    road = np.array([[-3.0, 0, -10], [3, 0, -10], [3, 0, 50], [-3, 0, 50]])
    assert len(eye.project_polygon(road)) == 4
    assert len(eye.project_polygon(road - [0, 0, 100])) == 0


@settings(max_examples=25, deadline=None)
@given(x=st.floats(20, 150), y=st.floats(20, 90), size=st.floats(3, 60))
def test_canvas__a_sprite_covers_its_box(x, y, size):
    canvas = Canvas(np.zeros((200, 300, 3), np.uint8))
    texture = Texture(np.full((64, 64, 4), 255, np.uint8))
    canvas.sprite(texture, (x, y, x + size, y + size), PLAIN, 5)
    assert int((canvas.ids == 5).sum()) == pytest.approx(size * size, abs=4.5 * size)
    assert canvas.rgb.sum() / 765 == pytest.approx(size * size, rel=0.12, abs=6)


def test_canvas__far_textures_are_averaged():
    board = np.zeros((128, 128, 4), np.uint8)
    board[..., 3] = 255
    board[::2, :, :3] = 255
    canvas = Canvas(np.zeros((60, 60, 3), np.uint8))
    canvas.sprite(Texture(board), (20, 20, 30, 30), PLAIN, 1)
    inner = canvas.rgb[22:28, 22:28].astype(int)
    assert abs(inner.mean() - 127) < 6 and inner.std() < 8


def halved(canvas):
    return canvas.rgb.reshape(100, 2, 150, 2, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("alpha", [255, 140])
def test_canvas__half_as_fine_looks_the_same_in_the_picture(alpha):
    ramp = np.add.outer(np.arange(80), np.arange(60)).astype(np.uint8) + 40
    texture = Texture(np.dstack([ramp, ramp[:, ::-1], ramp[::-1], np.full((80, 60), alpha, np.uint8)]))
    corners = np.array([[61.3, 21.7], [180.2, 50.1], [180.2, 150.9], [61.3, 180.4]])
    pictures = []
    for exact in (True, False):
        canvas = Canvas(np.full((200, 300, 3), 90, np.uint8))
        canvas.quad(texture, corners, PLAIN, 0, exact)
        canvas.sprite(texture, (200.3, 20.6, 260.8, 110.2), PLAIN, 0, exact)
        pictures.append(halved(canvas))
    difference = np.abs(pictures[0] - pictures[1])
    assert np.abs(pictures[0] - 90).max() > 40
    assert difference.mean() < 0.4 and np.percentile(difference, 99) < 8


def test_painter__leaves_faint_details_out_of_scenery_and_never_out_of_devices():
    builder = MeshBuilder()
    builder.box((-1, 1, -1, 1), 0, 2, (200, 200, 200))
    mesh, light = builder.build(), draw_light(np.random.default_rng(0), [])
    colors = []
    for device in (True, False):
        canvas = Canvas(np.zeros((540, 960, 3), np.uint8))
        painter = Painter([mesh], np.array([[0.0, 0.0, 90.0]]), np.zeros(1), camera(), light, np.array([device]))
        painter.paint(canvas, 0, 7, exact=True)
        colors.append(len(np.unique(canvas.rgb[canvas.ids == 7], axis=0)))
    assert colors[0] > colors[1] >= 1


def test_mesh__hides_the_far_sides_and_shades_by_the_sun():
    builder = MeshBuilder()
    builder.box((-1, 1, -1, 1), 0, 2, (200, 200, 200))
    mesh = builder.build()
    canvas = Canvas(np.zeros((540, 960, 3), np.uint8))
    light = draw_light(np.random.default_rng(0), [])
    painter = Painter([mesh], np.array([[0.0, 0.0, 10.0]]), np.zeros(1), camera(), light, np.array([True]))
    painter.paint(canvas, 0, 7, exact=True)
    rows, columns = np.nonzero(canvas.ids == 7)
    assert columns.min() == pytest.approx(480 - 750 / 9, abs=2) and rows.max() == pytest.approx(
        270 + 1.4 * 750 / 9, abs=2
    )


@pytest.mark.parametrize(
    "name", ["road-work-ahead", "right-lane-closed-ahead", "lane-closed", "detour", "end-road-work"]
)
def test_load_signs__has_the_lettered_plates(name):
    entry = load_signs()[name]
    assert entry.kind == "work" and entry.texture.levels[0].shape[1] >= 120


def test_sign_names__work_and_other_never_mix():
    for region in ("us", "eu"):
        work, other = sign_names("work", region), sign_names("other", region)
        assert len(work) >= 4 and len(other) >= 14 and not set(work) & set(other)


@pytest.mark.parametrize(
    ("maker", "count", "tallest"),
    [(_channelizers.cone, _channelizers.CONES, 1.1), (_channelizers.drum, _channelizers.DRUMS, 1.2),
     (_channelizers.beacon, _channelizers.BEACONS, 1.5), (_channelizers.barrier, _channelizers.BARRIERS, 2.1),
     (_people.worker, _people.WORKERS, 2.0), (lambda v: _machines.machine(v, False), _machines.MACHINES, 5.0),
     (lambda v: _vehicles.car(v, True), _vehicles.CARS, 2.2)],
)  # fmt: skip
def test_shapes__have_their_real_sizes(maker, count, tallest):
    for variant in range(count):
        shape = maker(variant)
        assert 0.3 < shape.high[1] <= tallest and -0.01 <= shape.low[1] < 0.03


def test_draw_light__modes_read_back():
    for wanted in ([], ["night"], ["rain"], ["fog"], ["glare"], ["night", "rain"], ["rain", "fog"]):
        for seed in range(20):
            assert light_modes(draw_light(np.random.default_rng(seed), wanted)) == frozenset(wanted)


@pytest.mark.parametrize(
    ("sightings", "modes"),
    [
        ([], set()),
        ([(10, 10, 1.0)], {"small"}),
        ([(40, 10, 1.0), (10, 50, 1.0)], set()),
        ([(40, 10, 0.5)], {"occlusion"}),
        ([(40, 36, 1.0), (200, 50, 1.0)], {"far"}),
        ([(None, 10, 0.2), (40, 10, 0.7)], {"occlusion"}),
        ([(None, 10, 0.0), (40, 10, 1.0)], set()),
    ],
)
def test_device_modes__table(sightings, modes):
    made = [
        Sighting(Box(0, 0, size, size, "cone") if size else None, meters, visible, 40.0)
        for size, meters, visible in sightings
    ]
    assert device_modes(made, 480, 270) == modes
