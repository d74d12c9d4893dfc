import numpy as np
import pytest

from streetvision_core.errors import DetectorClassesError, ManifestError
from streetvision_core.models.detectors.card import DetectorCard
from streetvision_core.models.detectors.meaning import ROADWORK, counted_boxes, meaning_of

COCO = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "traffic light", "fire hydrant", "stop sign")


def test_meaning_of__the_classes_of_roadwork():
    assert len(ROADWORK) == 17
    meaning = dict(zip(ROADWORK, meaning_of(tuple(ROADWORK), "weights"), strict=True))
    assert meaning["TTC Sign"] == "sign"
    assert meaning["Work Vehicle"] == "vehicle"
    assert meaning["Police Vehicle"] is None
    assert set(meaning.values()) == {"cone", "drum", "barrier", "sign", "worker", "vehicle", None}


def test_meaning_of__coco_is_refused_and_says_why():
    with pytest.raises(DetectorClassesError) as caught:
        meaning_of(COCO, "rf-detr-medium.pth")
    assert "three parked cars road work" in str(caught.value)
    assert "21_finetune_rfdetr" in caught.value.action
    assert caught.value.data["classes"][2] == "car"


def test_meaning_of__objects365_knows_cones_alone():
    assert meaning_of((*COCO, "Traffic cone"), "weights") == (*[None] * len(COCO), "cone")


def test_counted_boxes__police_and_background_do_not_count():
    meaning = meaning_of(tuple(ROADWORK), "weights")
    corners = np.array([[0, 0, 10, 10]] * 4, np.float32) + np.arange(4, dtype=np.float32)[:, None] * 20
    scores = np.array([0.9, 0.8, 0.7, 0.04], np.float32)
    boxes = counted_boxes(corners, scores, np.array([1, 2, 17, 2]), meaning, 200, 200)
    assert [(box.label, round(box.score, 2)) for box in boxes] == [("cone", 0.8)]
    assert counted_boxes(corners[:0], scores[:0], np.zeros(0, np.int64), meaning, 200, 200) == ()


def test_card__round_trip(tmp_path):
    card = DetectorCard("yolo12x", ("Cone", "Drum"), "v1", {"resolution": 640}, "ROADWork", ("a", "b"), "AGPL-3.0")
    card.write(tmp_path)
    assert DetectorCard.read(tmp_path) == card
    (tmp_path / "card.json").write_text('{"format": "detector/1"}')
    with pytest.raises(ManifestError, match="notebook 21 or 22"):
        DetectorCard.read(tmp_path)
