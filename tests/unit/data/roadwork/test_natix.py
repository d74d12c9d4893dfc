"""NATIX' schema, built here from rendered frames: Parquet in, feature table out."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.data.roadwork import NatixSource, SourceRow, hub_shards, join_groups, to_table, validators_rule
from streetvision_core.data.roadwork.natix import local_shards
from streetvision_core.data.scenes import render
from streetvision_core.data.splits import assign_splits, check_no_leak
from streetvision_core.errors import DataError, HubUnreachableError
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.factory import ModelSet
from tests.unit.cascade.toy_street import ColourBackbone
from tests.unit.models.hub.hub_server import running_hub


def jpeg(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def row(number, label, data, *, video=None, sequence=None, gps=None, description=None):
    return {
        "image": {"bytes": data, "path": f"{number}.jpg"},
        "id": number,
        "width": 320,
        "height": 180,
        "license": 1,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": "",
        "gps": gps,
        "city_name": "pittsburgh",
        "scene_description": description,
        "video_info": {"frame_id": number, "seq_id": sequence, "vid_id": video},
        "scene_level_tags": {"daytime": "Day", "weather": None},
        "label": label,
    }


@pytest.fixture(scope="module")
def rows():
    frames = [render(seed, roadwork=bool(seed % 2), width=320, height=180).frame.pixels for seed in range(6)]
    made = [
        row(0, 0, jpeg(frames[0]), video=1, sequence=1),
        row(1, 1, jpeg(frames[1]), video=1, sequence=2, description="cones on the right"),
        row(2, 0, jpeg(frames[2]), video=2, sequence=1, gps="40.4411, -79.9959", description="none"),
        row(3, 1, jpeg(frames[3]), gps="40.4412, -79.9961", description="a lane is closed"),
        row(4, 0, jpeg(frames[4]), gps="47.6100, -122.3300"),
        row(5, 1, jpeg(frames[5]), gps="48.6100, -122.3300"),
    ]
    return [*made, row(6, 0, jpeg(frames[4])), row(7, 0, b"no image")]  # a copy of 4 that nothing ties to it


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("natix")
    pq.write_table(pa.Table.from_pylist(rows[:5]), path / "train-00000-of-00002.parquet", row_group_size=2)
    pq.write_table(pa.Table.from_pylist(rows[5:]), path / "train-00001-of-00002.parquet")
    return path


@pytest.fixture
def models():
    return ModelSet(ColourBackbone, get_preprocessor("letterbox-224/1"))


def test_natix__rows_from_shards(folder):
    found = list(NatixSource(local_shards(folder)))
    assert [one.id for one, _ in found] == [str(i) for i in range(8)]
    first, second, third = (found[i][0] for i in (0, 1, 2))
    assert (first.video, first.sequence, first.label, first.description) == ("1", "1", 0, "")
    assert second.description == "cones on the right"
    assert third.place == (40.4411, -79.9959)
    assert third.tags == {"daytime": "Day"}


def test_natix__flattened_columns_say_the_same(rows, folder, tmp_path):
    flat = pa.Table.from_pylist(rows[:5]).flatten()
    names = ["image" if name == "image.bytes" else name for name in flat.column_names]
    pq.write_table(flat.rename_columns(names), tmp_path / "train-flat.parquet")
    nested = [one for one, _ in NatixSource(local_shards(folder)[:1])]
    assert [one for one, _ in NatixSource([tmp_path / "train-flat.parquet"])] == nested


def test_natix__as_validators_draw(folder):
    kept = [one.id for one, _ in NatixSource(local_shards(folder), as_validators=True)]
    assert kept == ["0", "1", "3", "4", "6", "7"]  # 2 is described without road work, 5 is road work undescribed


@pytest.mark.parametrize(
    ("label", "description", "drawn"), [(1, "x", True), (0, "x", False), (1, "", False), (0, "", True)]
)
def test_validators_rule(label, description, drawn):
    assert validators_rule(SourceRow("a", label, description)) == drawn


def test_join_groups__video_sequence_and_place():
    rows = [
        SourceRow("a", 1, video="1", sequence="1"),
        SourceRow("b", 1, video="1", sequence="2", place=(40.44110, -79.99590)),
        SourceRow("c", 0, place=(40.44112, -79.99588)),
        SourceRow("d", 0, place=(41.0, -79.99588)),
        SourceRow("e", 0),
    ]
    groups = join_groups(rows, "natix")
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3
    assert groups[4] == "natix/id=e"
    assert join_groups(rows[::-1], "natix") == groups[::-1]


@pytest.mark.parametrize(
    ("gps", "place"),
    [
        ([1, 2], (1, 2)),
        ("(1.5, -2)", (1.5, -2)),
        ({"lat": 1, "lng": 2}, (1, 2)),
        (None, None),
        ("", None),
        ([91, 0], None),
    ],
)
def test_source_row__forms_of_gps(gps, place):
    assert SourceRow.from_fields({"id": 1, "gps": gps}).place == place


def test_to_table__groups_labels_and_near_duplicates(folder, models, tmp_path):
    seen = []
    made = to_table(
        NatixSource(local_shards(folder)),
        "natix",
        models,
        tmp_path / "f.db",
        near_duplicate_cosine=0.99999,
        progress=seen.append,
    )
    assert made.unreadable == ("7",)
    assert seen[-1] == 8
    table = made.table
    assert table.ids == tuple(f"natix/{i}" for i in range(7))
    assert table.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert table.groups[0] == table.groups[1]  # one video
    assert table.groups[2] == table.groups[3]  # one place
    assert table.groups[4] == table.groups[6]  # the same picture
    assert made.joined == 1
    assert len(set(table.groups)) == 4
    splits = assign_splits(table.groups, ["all"] * 7)
    check_no_leak(table.groups, splits, table.features, 0.99999)


def test_to_table__goes_on_without_extracting_again(folder, models, tmp_path):
    store = tmp_path / "f.db"

    class Stops:
        """A source that is lost after the first shard."""

        def __iter__(self):
            yield from NatixSource(local_shards(folder)[:1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_table(Batched(Stops()), "natix", models, store, near_duplicate_cosine=0.99999)
    before = len(FeatureStore(store))
    embedded = []
    real = models.backbone.embed
    models.backbone.embed = lambda views: embedded.append(len(views)) or real(views)
    to_table(NatixSource(local_shards(folder)), "natix", models, store, near_duplicate_cosine=0.99999)
    assert before + sum(embedded) == len(FeatureStore(store)) == 6


class Batched:
    """Passes the first rows on as a full batch, as 32 real ones would be."""

    def __init__(self, source):
        self.source = source

    def __iter__(self):
        iterator = iter(self.source)
        first = [next(iterator) for _ in range(5)]
        for number in range(32):
            one, data = first[number % 5]
            yield SourceRow(f"{one.id}-{number}", one.label), data
        yield from iterator


def test_to_table__nothing_readable(models, tmp_path):
    with pytest.raises(DataError, match="0 readable images"):
        to_table([(SourceRow("a", 1), b"")], "natix", models, tmp_path / "f.db", near_duplicate_cosine=0.99)


def test_natix__named_errors(tmp_path):
    with pytest.raises(DataError, match="hf download natix-network-org/roadwork"):
        local_shards(tmp_path)
    (tmp_path / "train-0.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"train-0\.parquet"):
        list(NatixSource(local_shards(tmp_path)))
    pq.write_table(pa.table({"id": [1]}), tmp_path / "train-0.parquet")
    with pytest.raises(DataError, match="no column image, label"):
        list(NatixSource(local_shards(tmp_path)))


def test_hub_shards__one_at_a_time_and_not_again(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with running_hub() as server:
        names = [path.name for path in local_shards(folder)]
        server.files["natix-network-org/roadwork"] = {f"data/{n}": (folder / n).read_bytes() for n in names}
        stream = iter(NatixSource(hub_shards(tmp_path, endpoint=server.url)))
        next(stream)
        assert [path.name for path in local_shards(tmp_path)] == names[:1]
        assert len(list(stream)) == 7
        server.asked.clear()
        assert len(list(NatixSource(hub_shards(tmp_path, endpoint=server.url, keep=False)))) == 8
        assert not [path for path in server.asked if path.startswith("GET") and "/resolve/" in path]
        assert not list(tmp_path.rglob("*.parquet"))
    with pytest.raises(HubUnreachableError, match="not downloaded again"):
        list(hub_shards(tmp_path, endpoint="http://127.0.0.1:9"))
