import subprocess
import sys

import cv2
import numpy as np
import pytest

from streetvision_core.errors import ModelError
from streetvision_core.models.keywords import KeywordCount
from streetvision_core.models.ocr import OcrReader, count_keywords, load_ocr
from streetvision_core.types import Box, Frame


@pytest.fixture(scope="module")
def reader() -> OcrReader:
    return load_ocr("rapidocr", threads=1)


def street(words: tuple[str, ...], width: int, size: tuple[int, int] = (540, 960)) -> tuple[Frame, Box]:
    """An orange sign of `width` pixels on a blurred background."""
    sign = np.full((300, 300, 3), (240, 130, 20), np.uint8)
    for i, word in enumerate(words):
        cv2.putText(sign, word, (20, 90 + 80 * i), cv2.FONT_HERSHEY_SIMPLEX, 2.2, (0, 0, 0), 7, cv2.LINE_AA)
    noise = np.random.default_rng(0).integers(60, 190, (14, 24, 3), dtype=np.uint8)
    pixels = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
    y, x = size[0] // 4, size[1] * 2 // 3
    pixels[y : y + width, x : x + width] = cv2.resize(sign, (width, width), interpolation=cv2.INTER_AREA)
    return Frame.from_pixels(pixels, "test"), Box(x, y, x + width, y + width, "sign", 0.9)


@pytest.mark.parametrize("width", [40, 120])
def test_read__crop_of_a_sign(reader: OcrReader, width: int) -> None:
    frame, box = street(("ROAD", "WORK", "AHEAD"), width)
    texts = reader.read(frame, [box])
    assert texts == ("ROAD", "WORK", "AHEAD")
    assert count_keywords(texts) == KeywordCount(1, 0)


def test_read__end_of_work(reader: OcrReader) -> None:
    frame, box = street(("END", "ROAD", "WORK"), 120)
    assert count_keywords(reader.read(frame, [box])) == KeywordCount(0, 1)


@pytest.mark.parametrize("regions", [None, []])
def test_read__whole_frame_without_regions(reader: OcrReader, regions: list[Box] | None) -> None:
    frame, _ = street(("DETOUR",), 200)
    assert count_keywords(reader.read(frame, regions)) == KeywordCount(1, 0)


def test_read__nothing_to_read(reader: OcrReader) -> None:
    frame = Frame.from_pixels(np.full((120, 160, 3), 90, np.uint8), "test")
    assert reader.read(frame, None) == ()
    assert reader.read(frame, [Box(0, 0, 160, 120, "sign")]) == ()


@pytest.mark.parametrize(
    "box", [Box(0, 0, 5, 5, "sign"), Box(-50, -50, 10, 10, "sign"), Box(155, 100, 400, 300, "sign")]
)
def test_read__odd_regions(reader: OcrReader, box: Box) -> None:
    frame = Frame.from_pixels(np.full((120, 160, 3), 90, np.uint8), "test")
    assert reader.read(frame, [box]) == ()


def test_load_ocr__unknown() -> None:
    with pytest.raises(ModelError, match="rapidocr"):
        load_ocr("tesseract")


def test_load_ocr__needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from streetvision_core.models.ocr import load_ocr; load_ocr('rapidocr', 1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
