import json

import numpy as np
import pytest

from streetvision_core.errors import DataError, ManifestError
from streetvision_core.models.detectors._weights import read_weights
from streetvision_core.training.detectors._pool import fill_pool, read_pool
from streetvision_core.training.detectors._samples import make_sample
from streetvision_core.training.detectors._ship import ship, write_manifest
from streetvision_core.types import Box


def one(seed):
    pixels = np.full((40, 60, 3), seed * 20, np.uint8)
    return make_sample(pixels, [Box(1, 2, 11, 22, "sign")], f"g{seed}")


def test_fill_pool__makes_only_what_is_missing(tmp_path):
    assert fill_pool(tmp_path, one, range(3)) == 3
    assert fill_pool(tmp_path, one, range(5)) == 2
    sample = read_pool(tmp_path)(6)
    assert sample.group == "g1"
    assert sample.corners.tolist() == [[1, 2, 11, 22]]
    assert sample.labels.tolist() == [3]
    assert abs(int(sample.pixels[0, 0, 0]) - 20) < 4


def test_read_pool__empty(tmp_path):
    with pytest.raises(DataError, match="fill"):
        read_pool(tmp_path)


def test_ship__manifest_agrees_and_keeps_other_entries(tmp_path):
    source, folder = tmp_path / "made.onnx", tmp_path / "weights"
    source.write_bytes(b"weights")
    ship("a", source, {"version": "1"}, folder)
    ship("b", source, {"version": "2"}, folder)
    assert read_weights("a.onnx", folder) == b"weights"
    assert json.loads(read_weights("b.card.json", folder))["version"] == "2"
    (folder / "a.onnx").write_bytes(b"changed")
    with pytest.raises(ManifestError, match="sha256"):
        read_weights("a.onnx", folder)
    write_manifest(folder, ["a.onnx"])
    assert read_weights("a.onnx", folder) == b"changed"


def test_read_weights__no_manifest(tmp_path):
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_weights("a.onnx", tmp_path)
