"""A dataset is a value: what is saved comes back, its digest names its rows, and rows of two makes never mix."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from streetvision_core.errors import DataError, ManifestError, PreprocessMismatchError
from streetvision_core.learning.dataset import Dataset, Provenance
from tests.unit.cascade.toy_street import toy_table

DETECTORS = ("a@1", "b@2")


@pytest.fixture(scope="module")
def toy():
    table, frames = toy_table(20)
    rows = [
        Provenance(
            frame.sha256,
            f"photos/{i}.jpg" if i % 2 else None,
            "person",
            world="rendered" if i % 4 == 0 else "real",
            licence="CC0",
            source="toy",
            modes=("night", "rain") if i % 5 == 0 else (),
            width=frame.width,
            height=frame.height,
        )
        for i, frame in enumerate(frames)
    ]
    return Dataset(table, tuple(rows), DETECTORS, {"capped": 3})


def test_dataset__comes_back_from_parquet_as_it_was(toy, tmp_path):
    toy.save_dataset(tmp_path / "d.parquet")
    back = Dataset.load(tmp_path / "d.parquet")
    assert (back.digest, back.key, back.rows, back.notes) == (toy.digest, toy.key, toy.rows, {"capped": 3})
    for field in dataclasses.fields(toy.table):
        ours, theirs = getattr(toy.table, field.name), getattr(back.table, field.name)
        assert np.array_equal(ours, theirs, equal_nan=field.name == "evidence"), field.name


def test_dataset__without_splits_and_without_rows_comes_back(toy, tmp_path):
    bare = dataclasses.replace(toy, table=dataclasses.replace(toy.table, splits=None))
    for dataset in (bare, toy.select([])):
        dataset.save_dataset(tmp_path / "d.parquet")
        back = Dataset.load(tmp_path / "d.parquet")
        assert (len(back), back.table.splits, back.digest) == (len(dataset), dataset.table.splits, dataset.digest)


def test_digest__changes_with_any_value_and_not_with_notes(toy):
    assert dataclasses.replace(toy, notes={}).digest == toy.digest
    table, changed = toy.table, toy.table.labels.copy()
    changed[3] = 1 - changed[3]
    rows = (dataclasses.replace(toy.rows[0], licence="MIT"), *toy.rows[1:])
    others = [
        dataclasses.replace(toy, table=dataclasses.replace(table, labels=changed)),
        dataclasses.replace(toy, table=dataclasses.replace(table, features=table.features + 1e-3)),
        dataclasses.replace(toy, rows=rows),
        dataclasses.replace(toy, detectors=("a@1",)),
        toy.select(range(19)),
    ]
    assert len({toy.digest, *(other.digest for other in others)}) == 6


def test_load__another_file_or_changed_rows_are_refused(toy, tmp_path):
    path = tmp_path / "d.parquet"
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="01_data"):
        Dataset.load(path)
    toy.save_dataset(path)
    stored = pq.read_table(path)
    changed = stored.set_column(stored.schema.get_field_index("group"), "group", [["x"] * len(toy)])
    pq.write_table(changed.replace_schema_metadata(stored.schema.metadata), path)
    with pytest.raises(ManifestError, match="digest"):
        Dataset.load(path)


def test_to_pandas__has_one_row_an_image_with_its_provenance(toy):
    frame = toy.to_pandas()
    assert len(frame) == len(toy)
    assert frame.loc[0, ["world", "licence", "modes", "labelled_by"]].tolist() == [
        "rendered", "CC0", "night rain", "person",
    ]  # fmt: skip
    assert frame["width"].tolist() == [row.width for row in toy.rows]


def test_worlds__and_splits_are_parts_of_the_whole(toy):
    assert len(toy.real) + len(toy.rendered) == len(toy)
    assert {row.world for row in toy.rendered.rows} == {"rendered"}
    assert toy.real.rows[0] is toy.rows[1]


def test_concat__rows_of_other_detectors_or_another_backbone_are_refused(toy):
    twice = Dataset.concat([toy, toy])
    assert twice.rows == toy.rows * 2 and len(twice.table) == 40
    with pytest.raises(PreprocessMismatchError, match="a@1, b@2"):
        Dataset.concat([toy, dataclasses.replace(toy, detectors=())])
    with pytest.raises(PreprocessMismatchError):
        Dataset.concat([toy, dataclasses.replace(toy, table=dataclasses.replace(toy.table, backbone="other"))])


def test_provenance__knows_two_worlds():
    with pytest.raises(DataError, match="real, rendered"):
        Provenance("x", world="painted")
