import numpy as np
import pytest

from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.features import extract, feature_dim, global_and_max
from streetvision_core.types import Frame


class Means:
    """A backbone of four numbers that can be checked by hand: mean red, green, blue and one."""

    name = "means"
    dim = 4

    def embed(self, views: np.ndarray) -> np.ndarray:
        return np.concatenate([views.mean((1, 2)), np.ones((len(views), 1))], axis=1).astype(np.float32)

    def maps(self, images: np.ndarray, strides: object = ()) -> dict[int, np.ndarray]:
        return {}


def test_global_and_max__by_hand() -> None:
    rows = np.array([[3, 4], [0, 2], [5, 0]], np.float32)
    np.testing.assert_allclose(global_and_max(rows), [0.6, 0.8, 1, 1], atol=1e-6)


def test_global_and_max__no_tiles_repeats_the_global_half() -> None:
    np.testing.assert_allclose(global_and_max(np.array([[3, 4]], np.float32)), [0.6, 0.8, 0.6, 0.8], atol=1e-6)


@pytest.mark.parametrize("size", [(224, 224), (270, 480), (406, 722), (20, 1000)])
def test_extract__one_width_for_all_sizes(size: tuple[int, int]) -> None:
    frame = Frame.from_pixels(np.full((*size, 3), 100, np.uint8), "test")
    features = extract([frame, frame], Means(), get_preprocessor("global-tiles-260/1"))
    assert features.shape == (2, feature_dim(Means())) == (2, 8)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_extract__no_frames() -> None:
    assert extract([], Means(), get_preprocessor("global-tiles-260/1")).shape == (0, 8)


def test_extract__no_recipe() -> None:
    with pytest.raises(ModelError, match=r"global-tiles-260/1"):
        extract([], Means(), get_preprocessor("native/1"))
