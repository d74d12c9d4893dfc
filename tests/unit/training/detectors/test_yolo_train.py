import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from streetvision_core.models.detectors._yolo import decode_yolo  # noqa: E402
from streetvision_core.training.detectors._samples import IGNORE, Sample, make_sample  # noqa: E402
from streetvision_core.training.detectors._yolo_train import (  # noqa: E402
    YoloSettings,
    build_yolo,
    collate,
    export_yolo,
    train_yolo,
)
from streetvision_core.types import Box  # noqa: E402


def a_view(seed=0, *boxes):
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
    return make_sample(pixels, boxes or (Box(8, 16, 40, 48, "drum"),), "g")


def test_collate__centre_and_size_as_shares():
    batch = collate([a_view(0), make_sample(np.zeros((64, 64, 3), np.uint8), (), "g"), a_view(1)])
    assert batch["img"].shape == (3, 3, 64, 64)
    assert batch["batch_idx"].tolist() == [0, 2]
    assert batch["cls"].tolist() == [1, 1]
    assert batch["bboxes"][0].tolist() == [0.375, 0.5, 0.5, 0.5]
    assert batch["known"].shape == (3, 1, 6)


def test_collate__ignored_region_is_painted_over_and_not_told():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[10:20, 10:20] = 255
    corners, labels = np.float32([[10, 10, 20, 20]]), np.array([IGNORE])
    batch = collate([Sample(pixels, corners, labels, np.ones(6, bool), "g")])
    assert len(batch["cls"]) == 0
    assert batch["img"].max() < 0.2
    assert pixels.max() == 255


@pytest.mark.slow
def test_train_yolo__learns_goes_on_and_exports_what_torch_answers(tmp_path):
    import onnxruntime as ort

    def batches():
        while True:
            yield [a_view(0), a_view(1)]

    rows = []
    settings = YoloSettings(steps=10, batch=2, save_every=5)
    train_yolo(batches(), settings, tmp_path, log=rows.append)
    longer = YoloSettings(steps=20, batch=2, save_every=5)
    model = train_yolo(batches(), longer, tmp_path, log=rows.append)
    assert [row["step"] for row in rows] == [10, 20]
    assert rows[1]["cls"] < rows[0]["cls"]

    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        slow = model(image)
    slow = (slow[0] if isinstance(slow, tuple) else slow)[0].numpy()
    export_yolo(model, tmp_path / "yolo.onnx", 96, 64)
    session = ort.InferenceSession(str(tmp_path / "yolo.onnx"), providers=["CPUExecutionProvider"])
    fast = session.run(None, {"images": image.numpy()})[0][0]
    assert fast.shape == slow.shape
    assert np.allclose(fast[4:], slow[4:], atol=5e-3)
    for a, b in zip(decode_yolo(fast, 0.0), decode_yolo(slow, 0.0), strict=True):
        assert np.allclose(a, b, atol=0.5)


def test_build_yolo__our_classes(tmp_path):
    model = build_yolo(tmp_path)
    assert model.model[-1].nc == 6
    assert sum(p.numel() for p in model.parameters()) < 3_000_000
