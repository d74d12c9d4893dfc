from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetvision_core.errors import ImageBrokenError, SettingsError
from streetvision_core.images import preprocess
from streetvision_core.images.preprocess import (
    MAX_TILES,
    TILE_PIXELS,
    Preprocessor,
    get_preprocessor,
    preprocessor_names,
    register_preprocessor,
    tile_grid,
)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("center-crop-224/1", 224, (1, 224, 224, 3)),
        ("letterbox-224/1", 224, (1, 224, 224, 3)),
        ("letterbox-260/1", 260, (1, 260, 260, 3)),
        ("native/1", 0, (1, 406, 722, 3)),
        ("global-tiles-260/1", 260, (7, 260, 260, 3)),
        ("global-grid-260/1", 260, (7, 260, 260, 3)),
    ],
)
def test_views__shapes(name: str, size: int, shape: tuple[int, ...]) -> None:
    preprocessor = get_preprocessor(name)
    assert (preprocessor.name, preprocessor.view_size) == (name, size)
    views = preprocessor.views(noise(406, 722))
    assert views.shape == shape
    assert views.dtype == np.uint8


def test_get_preprocessor__unknown_name_lists_the_known() -> None:
    with pytest.raises(SettingsError, match=r"letterbox-224/1.*native/1"):
        get_preprocessor("letterbox-224/2")


def test_register_preprocessor__a_name_keeps_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "_REGISTRY", dict(preprocess._REGISTRY))
    new = Preprocessor("black-8/1", 8, lambda pixels: np.zeros((1, 8, 8, 3), np.uint8))
    register_preprocessor(new)
    assert get_preprocessor("black-8/1") is new
    assert "black-8/1" in preprocessor_names()
    with pytest.raises(SettingsError, match="raise the version"):
        register_preprocessor(new)


def test_views__empty_image() -> None:
    with pytest.raises(ImageBrokenError, match="at least 1x1"):
        get_preprocessor("letterbox-224/1").views(np.zeros((0, 10, 3), np.uint8))


def test_letterbox__bars_are_black_and_content_is_whole() -> None:
    view = get_preprocessor("letterbox-260/1").views(np.full((100, 200, 3), 200, np.uint8))[0]
    assert (view[:65] == 0).all()
    assert (view[195:] == 0).all()
    assert (view[65:195] == 200).all()


def test_center_crop__takes_the_middle() -> None:
    pixels = np.zeros((224, 624, 3), np.uint8)
    pixels[:, 200:424] = 77
    assert (get_preprocessor("center-crop-224/1").views(pixels) == 77).all()


def test_global_tiles__tiles_are_native_pixels_and_cover_the_image() -> None:
    pixels = noise(406, 722)
    views = get_preprocessor("global-tiles-260/1").views(pixels)
    np.testing.assert_array_equal(views[1], pixels[:260, :260])
    np.testing.assert_array_equal(views[6], pixels[-260:, -260:])
    np.testing.assert_array_equal(views[2], pixels[:260, 231:491])
    np.testing.assert_array_equal(views[0], get_preprocessor("letterbox-260/1").views(pixels)[0])


@pytest.mark.parametrize(
    ("height", "width", "views"),
    [(224, 224, 1), (300, 300, 1), (270, 480, 3), (480, 640, 7), (406, 722, 7), (800, 1360, 13), (3024, 4032, 13)],
)
def test_global_tiles__number_of_views(height: int, width: int, views: int) -> None:
    assert len(get_preprocessor("global-tiles-260/1").views(noise(height, width))) == views


@settings(max_examples=200, deadline=None)
@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_tile_grid__covers_within_the_budget(height: int, width: int) -> None:
    rows, columns, scale = tile_grid(height, width)
    assert rows * columns <= MAX_TILES
    assert scale <= 1
    assert rows * TILE_PIXELS >= height * scale - 1e-6
    assert columns * TILE_PIXELS >= width * scale - 1e-6
    best = max(
        min(1.0, r * TILE_PIXELS / height, c * TILE_PIXELS / width)
        for r in range(1, 13)
        for c in range(1, 13)
        if r * c <= MAX_TILES
    )
    assert scale >= best * TILE_PIXELS / preprocess.LARGEST_UNTILED_PIXELS


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 900),
    width=st.integers(1, 900),
    name=st.sampled_from(["center-crop-224/1", "letterbox-224/1", "letterbox-260/1", "global-tiles-260/1"]),
)
def test_views__any_size_gives_square_views(height: int, width: int, name: str) -> None:
    preprocessor = get_preprocessor(name)
    views = preprocessor.views(np.full((height, width, 3), 9, np.uint8))
    assert views.shape[1:] == (preprocessor.view_size, preprocessor.view_size, 3)
    assert 1 <= len(views) <= 1 + MAX_TILES
    assert views[0].max() == 9


def test_views__input_is_not_changed() -> None:
    pixels = noise(300, 500)
    before = pixels.copy()
    for name in preprocessor_names():
        get_preprocessor(name).views(pixels)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("size", [(224, 224), (270, 480), (800, 1360), (1360, 800), (1, 1), (3, 900), (500, 3000)])
def test_global_grid__as_many_views_for_every_size_and_every_pixel_seen(size: tuple[int, int]) -> None:
    height, width = size
    assert get_preprocessor("global-grid-260/1").views(noise(*size)).shape == (7, 260, 260, 3)
    for row, column in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[row, column] = 255
        assert get_preprocessor("global-grid-260/1").views(pixels)[1:].any()


def test_global_grid__squares_keep_their_shape() -> None:
    pixels = noise(270, 480)
    views = get_preprocessor("global-grid-260/1").views(pixels)
    np.testing.assert_array_equal(views[1], preprocess.resize(pixels[:160, :160], 260, 260))
    np.testing.assert_array_equal(views[6], preprocess.resize(pixels[-160:, -160:], 260, 260))
