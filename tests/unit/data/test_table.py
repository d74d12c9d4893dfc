from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetvision_core.data.table import FeatureTable
from streetvision_core.errors import DataError, PreprocessMismatchError
from streetvision_core.models.evidence import EVIDENCE_NAMES
from streetvision_core.types import Split


def make_table(n: int = 6, dim: int = 16, seed: int = 0, **changes: object) -> FeatureTable:
    rng = np.random.default_rng(seed)
    values: dict[str, object] = {
        "backbone": "efficientnet-lite2",
        "preprocessing": "global-tiles-260/1",
        "ids": [f"photo-{seed}-{i}" for i in range(n)],
        "labels": rng.integers(0, 2, n),
        "groups": [f"g{i // 2}" for i in range(n)],
        "origins": ["gtsdb"] * n,
        "eras": ["crop-224"] * n,
        "levels": rng.integers(0, 4, n),
        "splits": [Split.TRAIN if i % 2 else Split.TEST for i in range(n)],
    }
    return FeatureTable.build(rng.gamma(1.0, size=(n, dim)), **(values | changes))  # type: ignore[arg-type]


def assert_equal(a: FeatureTable, b: FeatureTable) -> None:
    for name in ("ids", "groups", "origins", "eras", "splits", "backbone", "preprocessing"):
        assert getattr(a, name) == getattr(b, name)
    for name in ("features", "labels", "levels", "evidence", "weights"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype


@pytest.mark.parametrize("n", [0, 1, 6])
def test_save__round_trip(tmp_path: Path, n: int) -> None:
    table = make_table(n)
    table.save(tmp_path / "t.npz")
    assert_equal(FeatureTable.load(tmp_path / "t.npz"), table)


def test_save__without_splits(tmp_path: Path) -> None:
    table = make_table(splits=None)
    table.save(tmp_path / "t.npz")
    assert FeatureTable.load(tmp_path / "t.npz").splits is None


def test_save__same_bytes_for_the_same_table(tmp_path: Path) -> None:
    make_table().save(tmp_path / "a.npz", quantised=True)
    make_table().save(tmp_path / "b.npz", quantised=True)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_save__quantised_keeps_direction(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, scale: float
) -> None:
    path = tmp_path_factory.mktemp("q") / "t.npz"
    features = np.random.default_rng(seed).gamma(1.0, size=(n, 256)) * scale
    table = FeatureTable.build(features, backbone="b", preprocessing="p/1")
    table.save(path, quantised=True)
    again = FeatureTable.load(path).features
    cosine = (again * table.features).sum(1) / np.linalg.norm(again, axis=1) / np.linalg.norm(table.features, axis=1)
    assert cosine.min() > 0.999


def test_save__quantised_is_smaller(tmp_path: Path) -> None:
    table = make_table(200, 256)
    table.save(tmp_path / "full.npz")
    table.save(tmp_path / "small.npz", quantised=True)
    assert (tmp_path / "small.npz").stat().st_size < 0.35 * (tmp_path / "full.npz").stat().st_size


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_load__broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.npz").write_bytes(content)
    with pytest.raises(DataError, match="feature-table/1"):
        FeatureTable.load(tmp_path / "t.npz")


def test_load__pickled_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", meta=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError):
        FeatureTable.load(tmp_path / "t.npz")


def test_select__mask_and_rows() -> None:
    table = make_table()
    mask = table.in_split(Split.TEST)
    assert_equal(table.select(mask), table.select([0, 2, 4]))
    assert table.select([3]).ids == ("photo-0-3",)
    with pytest.raises(DataError, match="mask of 2 for 6"):
        table.select(np.array([True, False]))


def test_select__nothing() -> None:
    assert len(make_table().select(np.zeros(6, bool))) == 0


def test_concat__rows_under_each_other() -> None:
    a, b = make_table(4), make_table(3, seed=1)
    both = FeatureTable.concat([a, b])
    assert_equal(both.select(range(4)), a)
    assert_equal(both.select(range(4, 7)), b)


@pytest.mark.parametrize("other", [{"backbone": "dinov3"}, {"preprocessing": "letterbox-260/1"}])
def test_concat__other_make(other: dict[str, str]) -> None:
    with pytest.raises(PreprocessMismatchError, match="same profile"):
        FeatureTable.concat([make_table(), make_table(**other)])


def test_concat__other_width() -> None:
    with pytest.raises(PreprocessMismatchError):
        FeatureTable.concat([make_table(), make_table(dim=8)])


def test_concat__splits_in_some() -> None:
    with pytest.raises(DataError, match="splits"):
        FeatureTable.concat([make_table(), make_table(splits=None)])
    with pytest.raises(DataError):
        FeatureTable.concat([])


@pytest.mark.parametrize("wrong", [{"labels": [1]}, {"groups": ["a"]}, {"eras": ["crop-225"] * 6}])
def test_table__columns_must_fit(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError):
        make_table(**wrong)


def test_in_split__before_assignment() -> None:
    with pytest.raises(DataError, match="assign_splits"):
        make_table(splits=None).in_split(Split.TRAIN)


def test_build__defaults() -> None:
    table = FeatureTable.build(np.zeros((2, 4)), backbone="b", preprocessing="p/1")
    assert table.labels.tolist() == [-1, -1]
    assert table.groups == table.ids == ("0", "1")
    assert np.isnan(table.evidence).all()
    assert table.evidence.shape == (2, len(EVIDENCE_NAMES))
