import numpy as np
import pytest

from streetvision_core.training.detectors._augment import crop_view, degrade
from streetvision_core.training.detectors._samples import IGNORE, is_seen_group, make_sample
from streetvision_core.types import Box


def a_sample(width=640, height=360):
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    boxes = [Box(100, 100, 120, 140, "cone"), Box(300, 50, 400, 250, "barrier"), Box(5, 300, 12, 315, "drum")]
    return make_sample(pixels, boxes, "g")


@pytest.mark.parametrize("size", [(384, 256), (192, 192), (320, 64)])
def test_crop_view__size_and_boxes_inside(size):
    width, height = size
    for seed in range(40):
        view = crop_view(a_sample(), width, height, np.random.default_rng(seed))
        assert view.pixels.shape == (height, width, 3)
        assert view.pixels.dtype == np.uint8
        assert len(view.corners) == len(view.labels)
        assert (view.corners >= 0).all()
        assert (view.corners <= (width, height, width, height)).all()
        assert ((view.labels >= IGNORE) & (view.labels < 6)).all()


def test_crop_view__same_seed_same_crop():
    one, two = (crop_view(a_sample(), 192, 192, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.corners, two.corners)


def test_crop_view__box_follows_its_pixels():
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[120:180, 200:240] = 255
    sample = make_sample(pixels, [Box(200, 120, 240, 180, "cone")], "g")
    checked = 0
    for seed in range(60):
        view = crop_view(sample, 256, 256, np.random.default_rng(seed))
        for (x0, y0, x1, y1), label in zip(view.corners.astype(int), view.labels, strict=True):
            if label == IGNORE or x1 - x0 < 16 or y1 - y0 < 16 or y0 < 30:
                continue
            inside = view.pixels[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4].mean()
            around = view.pixels[y0 - 30 : y0 - 10, x0:x1]
            assert inside > 40
            assert inside > around.mean() + 20
            checked += 1
    assert checked > 20


def test_crop_view__no_boxes():
    sample = make_sample(np.zeros((100, 200, 3), np.uint8), (), "g")
    assert len(crop_view(sample, 192, 192, np.random.default_rng(0)).labels) == 0


def test_degrade__keeps_size_and_tells_the_loss():
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    shrinks = []
    for seed in range(60):
        worse, shrink = degrade(pixels, np.random.default_rng(seed))
        assert worse.shape == pixels.shape
        shrinks.append(shrink)
    assert 0.2 < np.mean(np.array(shrinks) < 1) < 0.5
    assert min(shrinks) >= 0.3


def test_is_seen_group__fixed_and_about_sixty_per_cent():
    assert np.mean([is_seen_group(f"gtsdb-{i}") for i in range(2000)]) == pytest.approx(0.6, abs=0.04)
    assert not is_seen_group("gtsdb-276")
