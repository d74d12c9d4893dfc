import json

import pytest

from streetvision_core.data.roadwork import read_roadwork
from streetvision_core.errors import DataError


@pytest.fixture
def data(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(b"")
    names = ["Cone", "Police Vehicle"]
    info = {"video_info": {"vid_id": 3, "seq_id": 1}, "gps": [40.0, -80.0], "city_name": "pittsburgh"}
    return {
        "images": [{"id": 1, "file_name": "a.jpg", **info}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [10, 20, 5, 10]},
            {"image_id": 2, "category_id": 2, "bbox": [0, 0, 5, 5]},
        ],
    }


def test_read_roadwork__boxes_labels_and_groups(tmp_path, data):
    (tmp_path / "train.json").write_text(json.dumps(data))
    first, second = read_roadwork(tmp_path / "train.json", tmp_path)
    box = first.boxes[0]
    assert (box.x0, box.y0, box.x1, box.y1, box.name) == (10, 20, 15, 30, "Cone")
    assert (first.row.label, first.row.video, first.row.place) == (1, "3", (40.0, -80.0))
    assert second.row.label is None  # a police car alone says nothing, and the set is made of work zones


def test_read_roadwork__named_errors(tmp_path, data):
    path = tmp_path / "train.json"
    path.write_text("{}")
    with pytest.raises(DataError, match="categories"):
        list(read_roadwork(path, tmp_path))
    data["images"][1]["file_name"] = "c.jpg"
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=r"c\.jpg, which is not in"):
        list(read_roadwork(path, tmp_path))
