"""RF-DETR and YOLO through their real loading code, on random weights of the same classes."""

import numpy as np
import pytest

from streetvision_core.cascade.stages import DetectorsStage
from streetvision_core.errors import DetectorClassesError, ModelError
from streetvision_core.models import hub
from streetvision_core.models.detectors._ends import decode
from streetvision_core.models.detectors.card import DetectorCard
from streetvision_core.models.detectors.matching import corners_of
from streetvision_core.models.detectors.rfdetr import RfDetr, TransformersRfDetr
from streetvision_core.models.factory import load_models
from streetvision_core.settings import load_settings
from streetvision_core.types import DEVICE_CLASSES, Frame
from tests.tiny_detectors import save_rfdetr, save_transformers_rfdetr, save_yolo
from tests.unit.models.detectors.test_meaning import COCO


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("detectors")
    save_rfdetr(root / "rfdetr-medium")
    save_yolo(root / "yolo12x", "yolo12n")
    save_yolo(root / "yolo26x", "yolo26n")
    save_transformers_rfdetr(root / "Roboflow" / "rf-detr-roadwork", ("Cone", "Drum", "Police Officer"))
    save_transformers_rfdetr(root / "Roboflow" / "rf-detr-base", COCO)
    for path in (*root.glob("*x"), root / "rfdetr-medium", *root.glob("Roboflow/*")):
        hub.record(path.relative_to(root).as_posix(), path)
    return root


def load(monkeypatch, folder, *names):
    monkeypatch.setenv("SV_MODELS__FOLDER", str(folder))
    monkeypatch.setenv("SV_MODELS__DEVICE", "cpu")
    monkeypatch.setenv("SV_MODELS__DETECTORS", str(list(names)).replace("'", '"'))
    return load_models(load_settings("platinum"))


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    sizes = ((240, 320), (200, 150))
    return [Frame.from_pixels(rng.integers(0, 256, (*size, 3)).astype(np.uint8), str(size)) for size in sizes]


@pytest.mark.parametrize("name", ["rfdetr-medium", "yolo12x", "yolo26x", "Roboflow/rf-detr-roadwork"])
def test_detect__boxes_in_the_frames_pixels(monkeypatch, folder, frames, name):
    (detector,) = load(monkeypatch, folder, name).detectors
    found = detector.detect(frames)
    assert detector.name == name
    assert len(found) == len(frames)
    assert any(found)
    for boxes, frame in zip(found, frames, strict=True):
        assert len(boxes) <= 50
        assert [box.score for box in boxes] == sorted((box.score for box in boxes), reverse=True)
        for box in boxes:
            assert 0 <= box.x0 < box.x1 <= frame.width
            assert 0 <= box.y0 < box.y1 <= frame.height
            assert box.label in DEVICE_CLASSES
            assert box.score >= 0.05
    assert detector.detect([]) == []
    alone = detector.detect(frames[1:])[0]  # no frame's answer depends on its neighbours
    assert [box.label for box in alone] == [box.label for box in found[1]]
    np.testing.assert_allclose(corners_of(alone), corners_of(found[1]), atol=0.1)


def test_stage_two__both_side_by_side_through_the_platinum_profile(monkeypatch, folder, frames):
    models = load(monkeypatch, folder, "rfdetr-medium", "yolo12x")
    evidence = DetectorsStage(models).run(frames, [(), ()])
    assert set(evidence[0].boxes) == {"rfdetr-medium", "yolo12x"}
    assert {"dense-lite2.cone.max", "yolo12n.cone.max", "agree.count"} <= set(evidence[0].scores)
    assert models.seen_groups == {"drive-7"}


def test_load__coco_weights_are_refused(monkeypatch, folder):
    with pytest.raises(DetectorClassesError, match="three parked cars"):
        _ = load(monkeypatch, folder, "Roboflow/rf-detr-base").detectors


def test_load__rfdetr_with_coco_classes_is_refused_before_it_is_built(tmp_path, monkeypatch):
    import torch

    DetectorCard("medium", COCO, "coco").write(tmp_path)
    with pytest.raises(DetectorClassesError):
        RfDetr("rfdetr-medium", tmp_path, "cpu", torch.float32)


@pytest.mark.parametrize("architecture", ["yolo12n", "yolo99x"])
def test_load__card_and_weights_of_different_networks(monkeypatch, folder, tmp_path, architecture):
    path = tmp_path / "yolo26x"
    path.mkdir()
    (path / "model.safetensors").write_bytes((folder / "yolo26x" / "model.safetensors").read_bytes())
    DetectorCard(architecture, ("Cone",), "v").write(path)
    hub.record("yolo26x", path)
    with pytest.raises(ModelError):
        _ = load(monkeypatch, tmp_path, "yolo26x").detectors


def test_load__transformers_folder_without_weights(tmp_path):
    import torch

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="one RF-DETR"):
        TransformersRfDetr("x", tmp_path, "cpu", torch.float32)


def test_decode__both_forms_of_output():
    dense = np.zeros((6, 9), np.float32)  # two classes, nine anchors
    dense[:, 3] = [50, 40, 20, 10, 0.1, 0.9]
    corners, scores, classes = decode(dense)
    order = np.argsort(-scores)
    assert corners[order[0]].tolist() == [40, 35, 60, 45]
    assert scores[order].tolist() == pytest.approx([0.9, 0.1])
    assert classes[order].tolist() == [1, 0]
    suppressed = np.zeros((9, 6), np.float32)  # YOLO26's own suppression: corners, score, class
    suppressed[0] = [40, 35, 60, 45, 0.9, 1]
    corners, scores, classes = decode(suppressed)
    assert (corners.tolist(), classes.tolist()) == ([[40, 35, 60, 45]], [1])
