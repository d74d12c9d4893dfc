from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data.feature_store import FeatureStore, make_name
from streetvision_core.errors import StorageError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.features import extract
from streetvision_core.types import Frame


class Means:
    """A countable backbone: mean colour and one."""

    name = "means"
    dim = 4

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, views: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.concatenate([views.mean((1, 2)), np.ones((len(views), 1))], axis=1).astype(np.float32)

    def maps(self, images: np.ndarray, strides: object = ()) -> dict[int, np.ndarray]:
        return {}


PREPROCESSOR = get_preprocessor("letterbox-224/1")


def frames(n: int) -> list[Frame]:
    rng = np.random.default_rng(7)
    return [Frame.from_pixels(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), str(i)) for i in range(n)]


def test_features__extracted_once(tmp_path: Path) -> None:
    store, backbone, some = FeatureStore(tmp_path / "f.sqlite"), Means(), frames(40)
    first = store.features(some, backbone, PREPROCESSOR)
    assert (first == extract(some, Means(), PREPROCESSOR)).all()
    assert backbone.calls == len(store) == 40
    again = FeatureStore(tmp_path / "f.sqlite").features(reversed(some), backbone, PREPROCESSOR)
    assert (again == first[::-1]).all()
    assert backbone.calls == 40


def test_features__duplicates_in_one_batch(tmp_path: Path) -> None:
    backbone, one = Means(), frames(1)
    rows = FeatureStore(tmp_path / "f.sqlite").features(one * 5, backbone, PREPROCESSOR)
    assert rows.shape == (5, 8)
    assert backbone.calls == 1


def test_features__another_preprocessing_is_another_row(tmp_path: Path) -> None:
    store, backbone = FeatureStore(tmp_path / "f.sqlite"), Means()
    store.features(frames(3), backbone, PREPROCESSOR)
    store.features(frames(3), backbone, get_preprocessor("letterbox-260/1"))
    assert len(store) == 6


def test_features__killed_run_is_resumed(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[Frame]:
        yield from frames(40)[:35]
        raise KeyboardInterrupt

    store, backbone = FeatureStore(tmp_path / "f.sqlite"), Means()
    with pytest.raises(KeyboardInterrupt):
        store.features(breaks_off(), backbone, PREPROCESSOR)
    assert len(store) == 32
    store.features(frames(40), backbone, PREPROCESSOR, progress="resumed")
    assert backbone.calls == 40


def test_features__no_frames(tmp_path: Path) -> None:
    assert FeatureStore(tmp_path / "f.sqlite").features([], Means(), PREPROCESSOR).shape == (0, 8)


def test_get__more_than_one_query(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "f.sqlite")
    keys = [f"{i:064x}" for i in range(1200)]
    make = make_name(Means(), PREPROCESSOR)
    store.put(keys, make, np.arange(2400, dtype=np.float32).reshape(1200, 2))
    found = store.get([*keys, "absent"], make)
    assert len(found) == 1200
    assert found[keys[700]].tolist() == [1400, 1401]


def test_store__not_a_database(tmp_path: Path) -> None:
    (tmp_path / "f.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(StorageError, match="features are made again"):
        len(FeatureStore(tmp_path / "f.sqlite"))
