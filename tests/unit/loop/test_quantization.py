"""The int8 question on a profile of big models: those that are here are exported, asked and compared, others named."""

import datetime as dt
import json

import numpy as np
import pytest

from streetvision_core.loop import plots
from streetvision_core.loop.tasks import quantization, quantized_detectors, rendered
from streetvision_core.loop.tasks.day import Day
from streetvision_core.models import hub
from streetvision_core.settings import load_settings
from streetvision_core.types import Split
from tests.tiny_detectors import save_yolo

DETECTORS = ["rfdetr-small", "yolo12n-road", "yolo26n-road-int8"]


@pytest.fixture
def day(tmp_path, monkeypatch):
    monkeypatch.setenv("SV_PATHS__HOME", str(tmp_path))
    monkeypatch.setenv("SV_MODELS__FOLDER", str(tmp_path / "hub"))
    monkeypatch.setenv("SV_MODELS__THREADS", "1")
    monkeypatch.setenv("SV_LOOP__HELDOUT_FRAMES", "8")
    return lambda profile: Day(load_settings(profile), dt.date(2026, 11, 20))


@pytest.mark.slow
def test_quantize_models__of_a_big_profile(day, tmp_path, monkeypatch):
    pytest.importorskip("ultralytics")
    save_yolo(tmp_path / "hub" / "yolo12n-road", "yolo12n")
    hub.record("yolo12n-road", tmp_path / "hub" / "yolo12n-road")
    monkeypatch.setenv("SV_MODELS__DETECTORS", json.dumps(DETECTORS))
    found = quantization.quantize_models(day("light"), 4)
    assert set(found.left_out) == {"timm/vit_base_patch16_dinov3.lvd1689m", "head", *DETECTORS[::2]}
    assert "in int8 already" in found.left_out["yolo26n-road-int8"]
    assert "rfdetr-small" in found.left_out["rfdetr-small"]
    assert list(found.reports) == ["yolo12n-road"]
    (copy,) = found.reports["yolo12n-road"].candidates
    assert copy.model is not None and copy.timing is not None, copy.reason
    (same,) = found.parity
    assert same.same and same.least_iou > 0.95 and same.original == "UltralyticsYolo"
    assert hub.resolve("yolo12n-road-onnx", day("light").settings).is_dir()
    assert list(plots.parity_table(found.parity).same) == ["yes"]
    json.dumps(found.to_dict(), allow_nan=False)

    # the next night nothing is made or compared again, and an export whose original has left says so
    monkeypatch.setattr(quantized_detectors, "load_adapter", None)
    monkeypatch.setenv("SV_MODELS__DETECTORS", '["yolo12n-road"]')
    again = quantization.quantize_models(day("light"), 4)
    assert again.parity == found.parity
    assert again.reports["yolo12n-road"].candidates[0].model.reused
    monkeypatch.setenv("SV_MODELS__DETECTORS", '["yolo12n-road-onnx"]')
    (tmp_path / "hub" / "yolo12n-road" / "manifest.json").unlink()
    alone = quantization.quantize_models(day("light"), 4)
    assert [p.note for p in alone.parity] == ["not compared: its original yolo12n-road is not in the folder of models"]


def test_calibrate_rows__are_the_stored_features_of_the_frames_calibrated_on(day):
    embedded = day("embedded")
    rows, table = quantization._calibrate_rows(embedded, 3), rendered.heldout_table(embedded)
    kept = [i for i, split in enumerate(table.splits) if split is Split.CALIBRATE]
    assert len(rows) == len(kept) == 2
    np.testing.assert_array_equal(rows, table.features[kept])
