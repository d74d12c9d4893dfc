import numpy as np
import pytest

from streetvision_core.data.scenes import compose
from streetvision_core.images.decode import read_image
from streetvision_core.settings import load_settings
from streetvision_core.types import DEVICE_CLASSES


@pytest.fixture(scope="module")
def street():
    rng = np.random.default_rng(0)
    photo = np.full((400, 680, 3), 120, np.uint8)
    photo[:200] = 205
    return np.clip(photo + rng.normal(0, 3, photo.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(10))
def test_compose__boxes_lie_where_pixels_changed(street, seed):
    scene = compose(street, seed, n_devices=5, horizon=0.5)
    change = np.abs(scene.frame.pixels.astype(int) - street).max(axis=-1)
    assert scene.frame.pixels.shape == street.shape and scene.group == f"compose-{seed}"
    for box in scene.boxes:
        assert 0 <= box.x0 < box.x1 <= 680 and 0 <= box.y0 < box.y1 <= 400 and box.label in DEVICE_CLASSES
        inside = change[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
        assert (inside > 15).mean() > 0.1


def test_compose__labels_at_most_the_asked_number(street):
    counts = [len(compose(street, seed, n_devices=4).boxes) for seed in range(12)]
    assert max(counts) <= 4 and np.mean(counts) > 2


@pytest.mark.parametrize("seed", range(4))
def test_compose__no_devices_means_no_label(street, seed):
    scene = compose(street, seed, n_devices=0)
    assert scene.label == 0 and scene.boxes == ()


def test_compose__no_devices_still_means_distractors(street):
    changed = [np.abs(compose(street, seed, n_devices=0).frame.pixels.astype(int) - street) for seed in range(12)]
    assert sum((change > 40).any(axis=-1).sum() > 60 for change in changed) >= 3


def test_compose__same_seed_same_pixels(street):
    assert compose(street, 5).frame.sha256 == compose(street, 5).frame.sha256
    assert compose(street, 5).frame.sha256 != compose(street, 6).frame.sha256


def test_compose__the_horizon_moves_the_feet(street):
    low = compose(street, 3, n_devices=6, horizon=0.62)
    high = compose(street, 3, n_devices=6, horizon=0.45)
    assert np.mean([b.y1 for b in low.boxes]) > np.mean([b.y1 for b in high.boxes]) + 20


def test_compose__devices_follow_the_light_of_the_photo(street):
    bright = compose(street, 3, n_devices=8, horizon=0.5)
    dim = compose(street // 3, 3, n_devices=8, horizon=0.5)

    def level(scene):
        return np.mean([scene.frame.pixels[int(b.y0) : int(b.y1), int(b.x0) : int(b.x1)].mean() for b in scene.boxes])

    assert level(dim) < 0.65 * level(bright)


@pytest.mark.streets
def test_compose__on_a_real_photo():
    folder = load_settings("embedded").paths.resolve("streets") / "gtsdb"
    if not folder.is_dir():
        pytest.skip("the real photos are not here")
    photo = read_image(sorted(folder.glob("*.jpg"))[0]).pixels
    scene = compose(photo, 2, n_devices=10, horizon=0.63)
    assert scene.label == 1 and max(b.y1 - b.y0 for b in scene.boxes) > 30
