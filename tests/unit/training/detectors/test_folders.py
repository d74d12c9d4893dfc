import json

import numpy as np
import pytest
import yaml

from streetvision_core.data.roadwork.annotations import NamedBox
from streetvision_core.errors import DataError, DetectorClassesError
from streetvision_core.images.decode import encode_jpeg, read_image
from streetvision_core.settings import load_settings
from streetvision_core.training.detectors.finetune import coco_classes, finetune_rfdetr, finetune_yolo, yolo_classes
from streetvision_core.training.detectors.folders import (
    CLASSES,
    DetectionSample,
    rendered_samples,
    roadwork_samples,
    write_coco,
    write_yolo,
)
from streetvision_core.types import Frame


@pytest.fixture(scope="module")
def samples():
    return list(rendered_samples(4))


def test_rendered_samples__roadworks_names(samples):
    assert [sample.part for sample in samples] == ["train", "train", "train", "valid"]
    assert all(sample.boxes for sample in samples)
    assert {box.name for sample in samples for box in sample.boxes} <= set(CLASSES)


def test_write_coco__boxes_and_classes(samples, tmp_path):
    assert write_coco(samples, CLASSES, tmp_path) == {"train": 3, "valid": 1}
    data = json.loads((tmp_path / "valid" / "_annotations.coco.json").read_text())
    (image,) = data["images"]
    assert read_image(tmp_path / "valid" / image["file_name"]).width == image["width"] == 320
    first, box = data["annotations"][0], samples[3].boxes[0]
    assert first["bbox"] == pytest.approx([box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0])
    assert CLASSES[first["category_id"] - 1] == box.name
    assert len(data["annotations"]) == len(samples[3].boxes)
    assert coco_classes(tmp_path) == CLASSES


def test_write_yolo__boxes_and_classes(samples, tmp_path):
    assert write_yolo(samples, CLASSES, tmp_path) == {"train": 3, "valid": 1}
    lines = (tmp_path / "labels" / "valid" / "000003.txt").read_text().splitlines()
    index, x, y, width, height = lines[0].split()
    box = samples[3].boxes[0]
    assert CLASSES[int(index)] == box.name
    corner = (float(x) - float(width) / 2) * 320, (float(y) + float(height) / 2) * 180
    assert corner == pytest.approx((box.x0, box.y1), abs=0.01)
    assert yolo_classes(tmp_path) == CLASSES
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["val"] == "images/valid"
    assert (tmp_path / "images" / "valid" / "000003.jpg").is_file()


def test_write__a_part_without_images(tmp_path):
    frame = Frame.from_pixels(np.zeros((20, 20, 3), np.uint8), "test")
    only = [DetectionSample(frame, (NamedBox(0, 0, 5, 5, "Cone"), NamedBox(0, 0, 5, 5, "Tree")), "train")]
    for write in (write_coco, write_yolo):
        with pytest.raises(DataError, match="'valid': 0"):
            write(only, CLASSES, tmp_path)
    assert len(json.loads((tmp_path / "train" / "_annotations.coco.json").read_text())["annotations"]) == 1


def test_roadwork_samples__videos_stay_together(tmp_path):
    images = []
    for number in range(40):
        (tmp_path / f"{number}.jpg").write_bytes(encode_jpeg(np.full((16, 16, 3), number, np.uint8)))
        images.append({"id": number, "file_name": f"{number}.jpg", "video_info": {"vid_id": number // 2}})
    boxes = [{"image_id": number, "category_id": 1, "bbox": [1, 1, 5, 5]} for number in range(40)]
    data = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "Cone"}]}
    (tmp_path / "train.json").write_text(json.dumps(data))
    parts = [sample.part for sample in roadwork_samples(tmp_path / "train.json", tmp_path)]
    assert parts[::2] == parts[1::2]
    assert 0 < parts.count("valid") < 20


@pytest.mark.parametrize("finetune", [finetune_rfdetr, finetune_yolo])
def test_finetune__refuses_before_anything_is_built(finetune, samples, tmp_path):
    settings = load_settings("platinum")
    with pytest.raises(DataError, match="write_coco or write_yolo"):
        finetune(tmp_path, "x", settings)
    coco = [
        DetectionSample(samples[0].frame, (NamedBox(0, 0, 9, 9, "car"),), part)  # type: ignore[arg-type]
        for part in ("train", "valid")
    ]
    write_coco(coco, ("person", "car"), tmp_path)
    write_yolo(coco, ("person", "car"), tmp_path)
    with pytest.raises(DetectorClassesError, match="parked cars"):
        finetune(tmp_path, "x", settings)
