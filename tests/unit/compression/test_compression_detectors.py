"""RF-DETR and YOLO on random weights: as ONNX with the same boxes, as int8 only if allowed."""

from __future__ import annotations

import numpy as np
import pytest

from streetvision_core.compression.detectors import box_difference, export_detector
from streetvision_core.compression.detectors_int8 import compress_dense, compress_detector
from streetvision_core.errors import ManifestError, ModelError
from streetvision_core.models import hub
from streetvision_core.models.detectors._dense import DenseDetector
from streetvision_core.models.detectors.card import DetectorCard
from streetvision_core.models.detectors.exported import OnnxDetector
from streetvision_core.models.factory import load_models
from streetvision_core.settings import load_settings
from streetvision_core.types import Box, Frame
from tests.tiny_detectors import save_rfdetr, save_transformers_rfdetr, save_yolo

pytestmark = pytest.mark.slow
MADE = {
    "rfdetr-nano": save_rfdetr,
    "Roboflow/rf-detr-tiny": lambda folder: save_transformers_rfdetr(folder, ("Cone", "Drum", "Police Officer")),
    "yolo12n-road": lambda folder: save_yolo(folder, "yolo12n"),
    "yolo26n-road": lambda folder: save_yolo(folder, "yolo26n"),
}


def frames(count, seed):
    """Coarse random pictures of two shapes."""
    rng = np.random.default_rng(seed)
    coarse = [rng.integers(0, 256, ((6, 8, 3), (8, 5, 3))[i % 2], np.uint8) for i in range(count)]
    return [Frame.from_pixels(c.repeat(40, axis=0).repeat(40, axis=1), f"test:{i}") for i, c in enumerate(coarse)]


@pytest.fixture(scope="module", params=list(MADE))
def exported(request, tmp_path_factory):
    """A detector, its settings, and the folder of its export."""
    name, root = request.param, tmp_path_factory.mktemp("detectors")
    MADE[name](root / name)
    hub.record(name, root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SV_MODELS__FOLDER", str(root))
        patch.setenv("SV_MODELS__DEVICE", "cpu")
        patch.setenv("SV_MODELS__DETECTORS", f'["{name}", "{name}-onnx"]')
        settings = load_settings("platinum")
        (detector,) = load_models(settings.model_copy(deep=True, update={"models": only(settings, name)})).detectors
        made = export_detector(detector, root / f"{name}-onnx", frames(4, 0))
    return detector, settings, made


def only(settings, name):
    return settings.models.model_copy(update={"detectors": (name,)})


def test_export_detector__the_profile_loads_it_and_finds_the_same_boxes(exported):
    detector, settings, made = exported
    assert made.difference < 2e-3
    assert made.boxes >= 4
    _, served = load_models(settings).detectors
    assert isinstance(served, OnnxDetector)
    others = frames(6, 1)
    wanted, got = detector.detect(others), served.detect(others)
    assert any(wanted)
    assert max(map(box_difference, wanted, got, others)) < 5e-3
    assert all(0 <= b.x0 < b.x1 <= f.width for boxes, f in zip(got, others, strict=True) for b in boxes)


def test_compress_detector__is_faster_and_the_same_or_refused(exported, tmp_path):
    detector, _, made = exported
    judge = frames(8, 3)
    best = [max((b.score for b in boxes), default=0.0) for boxes in detector.detect(judge)]
    middle = float(np.median(best))
    y = [int(score >= middle) for score in best]
    report = compress_detector(
        made.folder, tmp_path / "int8", frames(6, 2), judge, y, counted=middle, threads=1, rounds=10
    )
    (copy,) = report.candidates
    assert report.fp32_mcc > 0.7  # the export decides as the original, but for the score at the border
    assert copy.model is not None, copy.reason
    assert copy.model.bytes < 0.7 * report.fp32_bytes
    assert copy.timing is not None
    judged = copy.mcc is not None  # one that is clearly slower is not
    assert judged or not copy.speed.faster
    allowed = copy.speed.faster and judged and abs(copy.mcc - report.fp32_mcc) <= 0.002 + 1e-9
    assert copy.accepted == allowed
    if allowed:
        served = OnnxDetector.read("copy", tmp_path / "int8")
        assert served.version.endswith("-int8")
        assert report.path.is_file()
    else:
        assert not (tmp_path / "int8").exists()
        assert copy.reason.startswith("refused, ")


@pytest.mark.parametrize("exported", ["yolo12n-road"], indirect=True)
def test_export_detector__refuses_other_boxes_and_empty_frames(exported, tmp_path, monkeypatch):
    detector, *_ = exported
    with pytest.raises(ModelError, match="nothing was written"):
        export_detector(detector, tmp_path / "no", [])
    wrong = [(Box(1, 1, 30, 30, "cone", 0.9),)]
    monkeypatch.setattr(type(detector), "detect", lambda self, some: wrong * len(some))
    with pytest.raises(ModelError, match="whose boxes differ"):
        export_detector(detector, tmp_path / "no", frames(1, 0))
    assert not (tmp_path / "no").exists()


def test_box_difference__pairs_whatever_the_order():
    (frame,) = frames(1, 0)
    a, b = Box(10, 10, 50, 50, "cone", 0.8), Box(100, 20, 140, 90, "drum", 0.5)
    near = Box(10, 10, 50, 51.6, "cone", 0.8)
    faint = Box(0, 0, 9, 9, "sign", 0.052)
    assert box_difference([a, b], [b, near], frame) == pytest.approx(1.6 / 320)
    assert box_difference([a], [a, faint], frame) == box_difference([a, faint], [a], frame) == 0
    assert box_difference([a, b], [a], frame) == box_difference([a], [a, b], frame) == float("inf")
    assert box_difference([], [], frame) == 0


@pytest.mark.parametrize("config", [{}, {"ends": "detr", "side": 64}, {"ends": "other"}, {"ends": "yolo", "side": "x"}])
def test_onnx_detector__a_card_that_says_too_little_is_refused(tmp_path, config):
    DetectorCard("medium", ("Cone",), "v", config).write(tmp_path)
    with pytest.raises(ManifestError, match="export_detector"):
        OnnxDetector.read("x", tmp_path)


def test_compress_dense__is_a_real_file_judged_on_maps_in_fp32(tmp_path):
    """dense-lite2's head in int8: the copy's file is what runs, and the backbone's maps are made once."""
    asked = []

    class Maps:
        def maps(self, images, strides=(8, 16, 32)):
            asked.append(images.shape)
            small = np.float32(images[:, ::8, ::8, :1]) / 255
            channels = {8: 48, 16: 120, 32: 352}
            tiled = {s: np.repeat(small[:, :: s // 8, :: s // 8], channels[s], 3) for s in strides}
            return {s: tile.transpose(0, 3, 1, 2).copy() for s, tile in tiled.items()}

    judge = frames(4, 3)
    report = compress_dense(Maps(), frames(3, 2), judge, [0, 1, 0, 1], tmp_path, threads=1, rounds=6)
    (copy,) = report.candidates
    assert copy.model is not None and copy.timing is not None, copy.reason
    assert copy.model.path == tmp_path / "dense-lite2-int8-static.onnx"
    assert copy.model.bytes < report.fp32_bytes
    assert len(asked) == 7
    maps = DenseDetector(1, Maps()).planes(judge[0])
    scores, whole = (DenseDetector(1, Maps(), copy=path).run(maps)[0] for path in (copy.model.path, None))
    assert 0 < np.abs(scores - whole).max() < 0.2
