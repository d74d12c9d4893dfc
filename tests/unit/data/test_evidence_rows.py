from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from streetvision_core.data._evidence_rows import EvidenceMaker, no_evidence
from streetvision_core.data.feature_store import FeatureStore
from streetvision_core.images.preprocess import get_preprocessor
from streetvision_core.models.evidence import DETECTOR_NAMES, EVIDENCE_NAMES
from streetvision_core.models.factory import ModelSet
from streetvision_core.types import Box, BoxesByDetector, Frame


class Bright:
    """A detector that sees a sign wherever the frame is bright, and counts its calls."""

    version = "1"

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0

    def detect(self, frames: Sequence[Frame]) -> list[tuple[Box, ...]]:
        self.calls += 1
        sign = (Box(10, 10, 60, 60, "sign", 0.9),)
        return [sign if frame.pixels.mean() > 128 else () for frame in frames]


class Reader:
    """Reads DETOUR off everything."""

    name = "reader"

    def read(self, frame: Frame, regions: Sequence[Box] | None = None) -> tuple[str, ...]:
        return ("DETOUR",)


def maker(seen: Mapping[str, BoxesByDetector] | None = None) -> tuple[EvidenceMaker, list[Bright]]:
    detectors = [Bright(name) for name in DETECTOR_NAMES]
    preprocessor = get_preprocessor("letterbox-224/1")
    models = ModelSet(lambda: None, preprocessor, lambda: tuple(detectors), ocr=Reader)  # type: ignore[arg-type]
    return EvidenceMaker(models, 480, seen), detectors


def frame(value: int, width: int) -> Frame:
    return Frame.from_pixels(np.full((270, width, 3), value, np.uint8), "test")


@pytest.mark.parametrize(
    ("value", "width", "signs", "keywords"),
    [
        (200, 480, 1, 1.0),  # a sign box is read
        (50, 480, 0, np.nan),  # no sign, nothing to read
        (200, 224, 1, np.nan),  # too small to read
    ],
)
def test_row__what_runs(tmp_path: Path, value: int, width: int, signs: int, keywords: float) -> None:
    evidence, _ = maker()
    row = evidence.row(frame(value, width), FeatureStore(tmp_path / "f.sqlite"))
    named = dict(zip(EVIDENCE_NAMES, row.tolist(), strict=True))
    assert named["dense-lite2.sign.count"] == named["agree.count"] == signs
    np.testing.assert_equal(named["ocr.keywords"], keywords)


def test_row__kept_in_the_store(tmp_path: Path) -> None:
    evidence, detectors = maker()
    store = FeatureStore(tmp_path / "f.sqlite")
    first = evidence.row(frame(200, 480), store)
    np.testing.assert_array_equal(evidence.row(frame(200, 480), store), first)
    assert detectors[0].calls == 1


def test_row__detectors_do_not_look_twice(tmp_path: Path) -> None:
    image = frame(200, 480)
    evidence, detectors = maker()
    looked = evidence.row(image, FeatureStore(tmp_path / "a.sqlite"))
    boxes = {detector.name: detector.detect([image])[0] for detector in detectors}
    told, asked = maker({image.sha256: boxes})
    np.testing.assert_array_equal(told.row(image, FeatureStore(tmp_path / "b.sqlite")), looked)
    assert [detector.calls for detector in asked] == [0, 0]
    told.row(frame(50, 480), FeatureStore(tmp_path / "b.sqlite"))
    assert [detector.calls for detector in asked] == [1, 1]


def test_no_evidence__all_unknown() -> None:
    assert no_evidence().shape == (len(EVIDENCE_NAMES),)
    assert np.isnan(no_evidence()).all()
