"""Exports beside their originals: equal ones, other ones, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from streetvision_core.compression import parity
from streetvision_core.compression.detectors import TOLERANCE
from streetvision_core.models.backbone import cached_lite2
from streetvision_core.types import Box, Frame

FRAMES = [Frame.from_pixels(np.full((100, 200, 3), i, np.uint8), f"test:{i}") for i in range(2)]
CONE, DRUM = Box(10, 10, 50, 50, "cone", 0.8), Box(60, 10, 90, 50, "drum", 0.6)
FAINT = Box(0, 0, 9, 9, "sign", 0.052)


class Finds:
    def __init__(self, *answers):
        self._answers = answers

    def detect(self, frames):
        return list(self._answers)


@pytest.mark.parametrize(
    ("wanted", "got", "least"),
    [
        ([CONE, DRUM], [DRUM, CONE], 1.0),
        ([CONE], [Box(10, 10, 50, 30, "cone", 0.8)], 0.5),
        ([CONE], [Box(10, 10, 50, 50, "drum", 0.8)], 0.0),
        ([CONE], [], 0.0),
        ([FAINT], [], 1.0),
        ([], [CONE], 1.0),
    ],
)
def test_least_iou__is_that_of_the_worst_box(wanted, got, least):
    assert parity.least_iou(wanted, got) == pytest.approx(least)


@pytest.mark.parametrize(
    ("exported", "same", "difference", "iou"),
    [
        (((CONE,), (DRUM,)), True, 0.0, 1.0),
        (((Box(10, 10, 50, 50, "cone", 0.7),), (DRUM,)), False, 0.1, 1.0),
        (((), (DRUM,)), False, float("inf"), 0.0),
    ],
)
def test_detector_parity__compares_box_by_box(exported, same, difference, iou):
    found = parity.detector_parity("x-onnx", Finds((CONE,), (DRUM,)), Finds(*exported), FRAMES)
    assert (found.same, found.allowed, found.note) == (same, TOLERANCE, "2 boxes in 2 frames")
    assert found.difference == pytest.approx(difference)
    assert found.least_iou == pytest.approx(iou)
    json.dumps(found.to_dict(), allow_nan=False)


def test_detector_parity__empty_frames_compare_nothing():
    found = parity.detector_parity("x-onnx", Finds((), ()), Finds((), ()), FRAMES)
    assert found.same is None
    assert found.note == "not compared: the original finds nothing in 2 frames"


def test_once__is_computed_again_only_for_other_things(tmp_path):
    file, asked = tmp_path / "cache" / "parity-x.json", []

    def compare():
        asked.append(1)
        return parity.Parity("x", "torch", float("inf"), 1e-3, None, "")

    for made_from in ("a", "a", "b", "b"):
        assert parity.once(file, made_from, compare).same is False
    assert len(asked) == 2
    file.write_text("{}")
    parity.once(file, "b", compare)
    assert len(asked) == 3


def test_lite2_parity__without_torch_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "find_spec", lambda name: None if name == "torch" else object())
    found = parity.lite2_parity(tmp_path / "no.onnx", np.zeros((1, 260, 260, 3), np.uint8), tmp_path)
    assert found.same is None
    assert found.note == "not compared: no torch here; they come with the extra gpu"


@pytest.mark.slow
def test_lite2_parity__our_graph_is_timms_network(tmp_path):
    pytest.importorskip("timm")
    views = np.random.default_rng(0).integers(0, 256, (2, 26, 26, 3), np.uint8).repeat(10, 1).repeat(10, 2)
    path = cached_lite2(tmp_path)
    found = parity.lite2_parity(path, views, tmp_path)
    assert found.same and 0 < found.difference < 1e-3, found
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.05), weight.name))
    onnx.save(model, tmp_path / "bent.onnx")
    assert parity.lite2_parity(tmp_path / "bent.onnx", views, tmp_path).same is False
