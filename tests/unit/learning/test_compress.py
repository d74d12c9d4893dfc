"""The int8 question on a profile of big models: those that are here are exported, asked and compared, others named."""

import json

import numpy as np
import pytest

from streetvision_core.learning import _compress_detectors, rendered
from streetvision_core.learning.compress import compress
from streetvision_core.loop import plots
from streetvision_core.models import hub
from streetvision_core.models.head import Head
from streetvision_core.settings import load_settings
from tests.tiny_detectors import save_yolo

DETECTORS = ["rfdetr-small", "yolo12n-road", "yolo26n-road-int8"]


HEAD = Head(
    np.zeros(8, np.float32),
    np.ones(8, np.float32),
    (np.ones((8, 1), np.float32),),
    (np.zeros(1, np.float32),),
    "timm/vit_base_patch16_dinov3.lvd1689m",
    "letterbox-224/1",
)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path / "hub"))
    monkeypatch.setenv("SV_MODELS__THREADS", "1")
    frames = rendered.calibrate_frames(4)

    def ask():
        settings = load_settings("light")
        return compress(settings, HEAD, frames, np.zeros((2, 8), np.float32), tmp_path, settings.models.detectors)

    return ask


@pytest.mark.slow
def test_compress__of_a_big_profile(asked, tmp_path, monkeypatch):
    pytest.importorskip("ultralytics")
    save_yolo(tmp_path / "hub" / "yolo12n-road", "yolo12n")
    hub.record("yolo12n-road", tmp_path / "hub" / "yolo12n-road")
    monkeypatch.setenv("SV_MODELS__DETECTORS", json.dumps(DETECTORS))
    found = asked()
    assert set(found.left_out) == {"timm/vit_base_patch16_dinov3.lvd1689m", "head", *DETECTORS[::2]}
    assert "in int8 already" in found.left_out["yolo26n-road-int8"]
    assert "rfdetr-small" in found.left_out["rfdetr-small"]
    assert list(found.reports) == ["yolo12n-road"]
    (copy,) = found.reports["yolo12n-road"].candidates
    assert copy.model is not None and copy.timing is not None, copy.reason
    (same,) = found.parity
    assert same.same and same.least_iou > 0.95 and same.original == "UltralyticsYolo"
    assert hub.resolve("yolo12n-road-onnx", load_settings("light")).is_dir()
    assert list(plots.parity_table(found.parity).same) == ["yes"]
    json.dumps(found.to_dict(), allow_nan=False)

    # the next night nothing is made or compared again, and an export whose original has left says so
    monkeypatch.setattr(_compress_detectors, "load_adapter", None)
    monkeypatch.setenv("SV_MODELS__DETECTORS", '["yolo12n-road"]')
    again = asked()
    assert again.parity == found.parity
    assert again.reports["yolo12n-road"].candidates[0].model.reused
    monkeypatch.setenv("SV_MODELS__DETECTORS", '["yolo12n-road-onnx"]')
    (tmp_path / "hub" / "yolo12n-road" / "manifest.json").unlink()
    alone = asked()
    assert [p.note for p in alone.parity] == ["not compared: its original yolo12n-road is not in the folder of models"]
