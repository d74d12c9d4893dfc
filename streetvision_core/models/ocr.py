"""Reading signs: crops of sign boxes first, else the upper part of the frame at a bounded size.

Example:
    >>> reader = load_ocr("rapidocr")                          # doctest: +SKIP
    >>> reader.read(frame, regions=[sign_box])                 # doctest: +SKIP
    ('ROAD WORK', 'AHEAD')
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from streetvision_core.errors import ModelError
from streetvision_core.images.preprocess import resize
from streetvision_core.models._lite2 import missing_requirement
from streetvision_core.models.keywords import KeywordCount, count_keywords
from streetvision_core.settings import Settings
from streetvision_core.types import Box, Frame, Pixels

__all__ = ["KeywordCount", "OcrReader", "RapidOcr", "count_keywords", "load_ocr", "ocr_names"]

REGION_MARGIN: Final = 0.2
"""Share of a box's side added on each side: detectors cut off letters at the border."""
MIN_REGION_PIXELS: Final = 24
"""Narrower signs carry no readable letters."""
MAX_REGIONS: Final = 4
CROP_SIDE_PIXELS: Final = 256
"""Longer side a crop is brought to: enlarged so, letters of signs 30 pixels wide are read; more costs and harms."""
UPPER_SHARE: Final = 2 / 3
"""Signs stand above the road's surface; what lies lower is bonnet and asphalt."""
FRAME_SIDE_PIXELS: Final = 1280
MIN_CONFIDENCE: Final = 0.5

T = TypeVar("T")


class OcrReader(Protocol):
    """What every reader offers."""

    @property
    def name(self) -> str:
        """The adapter's name."""

    def read(self, frame: Frame, regions: Sequence[Box] | None = None) -> tuple[str, ...]:
        """Pieces of text in reading order."""


class RapidOcr:
    """PP-OCRv4 on ONNX Runtime, its models inside the wheel `rapidocr-onnxruntime` (Apache-2.0).

    Args:
        threads: intra-op threads.
    """

    name = "rapidocr"

    def __init__(self, threads: int = 2) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError as error:
            raise missing_requirement("rapidocr-onnxruntime") from error
        # "max" never enlarges what is read, so the cost is bounded by the sizes above.
        self._engine = RapidOCR(
            intra_op_num_threads=threads, inter_op_num_threads=1, use_cls=False, det_limit_type="max"
        )
        self._lock = threading.Lock()  # the engine keeps the sizes of the image it is reading

    def read(self, frame: Frame, regions: Sequence[Box] | None = None) -> tuple[str, ...]:
        """Reads signs.

        Args:
            frame: the image.
            regions: boxes of signs; only the best few are read, enlarged. None or none: the frame's upper part.

        Returns:
            pieces of text, region by region, each from top to bottom.
        """
        boxes: Sequence[Box | None] = best_regions(regions) if regions else [None]
        return tuple(text for box in boxes for text in self._read_pixels(readable_part(frame.pixels, box).pixels))

    def _read_pixels(self, pixels: Pixels) -> list[str]:
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        with self._lock:
            found, _ = self._engine(bgr)
        sure = [(corners, str(text)) for corners, text, score in found or [] if float(score) >= MIN_CONFIDENCE]
        return in_reading_order([text for _, text in sure], [np.asarray(c, dtype=float) for c, _ in sure])


def load_ocr(name: str, threads: int = 2) -> OcrReader:
    """Loads a reader by name.

    Raises:
        ModelError: unknown name, or its package is not installed.
    """
    if name not in _READERS:
        raise ModelError(
            got=f"OCR adapter {name!r}",
            allowed=", ".join(ocr_names()),
            action="select a profile whose OCR is one of them",
            name=name,
        )
    return _READERS[name](threads)


def from_settings(name: str, settings: Settings) -> OcrReader:
    """Loads an embedded reader as the settings have it."""
    return load_ocr(name, settings.models.threads)


def ocr_names() -> list[str]:
    """The readers that can be loaded here, sorted."""
    return sorted(_READERS)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A part of a frame at the size it is read.

    Attributes:
        pixels: of the part, resized.
        left: its left edge in pixels of the frame.
        top: its upper edge.
        scale: pixels of the part per pixel of the frame.
    """

    pixels: Pixels
    left: int
    top: int
    scale: float

    def to_frame(self, x: float, y: float) -> tuple[float, float]:
        """A point of the part in pixels of the frame."""
        return self.left + x / self.scale, self.top + y / self.scale


def best_regions(regions: Sequence[Box]) -> list[Box]:
    """The boxes worth reading: wide enough, the surest first, at most `MAX_REGIONS`."""
    wide = [box for box in regions if box.x1 - box.x0 >= MIN_REGION_PIXELS]
    return sorted(wide, key=lambda box: (-box.score, -box.area_pixels))[:MAX_REGIONS]


def readable_part(pixels: Pixels, box: Box | None) -> Place:
    """A sign's box with a margin, enlarged; or, without a box, the frame's upper part at a bounded size."""
    height, width = pixels.shape[:2]
    if box is None:
        return _place(pixels, 0, 0, width, max(1, round(height * UPPER_SHARE)), FRAME_SIDE_PIXELS, enlarge=False)
    dx, dy = REGION_MARGIN * (box.x1 - box.x0), REGION_MARGIN * (box.y1 - box.y0)
    left, right = int(max(0, box.x0 - dx)), int(min(width, box.x1 + dx + 1))
    top, bottom = int(max(0, box.y0 - dy)), int(min(height, box.y1 + dy + 1))
    return _place(pixels, left, top, right, bottom, CROP_SIDE_PIXELS, enlarge=True)


def in_reading_order(found: Sequence[T], corners: Sequence[npt.NDArray[Any]]) -> list[T]:
    """Lines from top to bottom, words of a line from left to right.

    Args:
        found: one thing per piece of text.
        corners: of each piece, [K, 2] (x, y).
    """
    pieces = [(float(c[:, 1].min()), float(c[:, 0].min()), float(np.ptp(c[:, 1])), i) for i, c in enumerate(corners)]
    lines: list[list[tuple[float, float, float, int]]] = []
    for piece in sorted(pieces):
        if lines and piece[0] < lines[-1][0][0] + 0.5 * lines[-1][0][2]:
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return [found[piece[3]] for line in lines for piece in sorted(line, key=lambda p: p[1])]


def _place(pixels: Pixels, left: int, top: int, right: int, bottom: int, side: int, *, enlarge: bool) -> Place:
    part = pixels[top:bottom, left:right]
    height, width = part.shape[:2]
    if height == 0 or width == 0:
        return Place(np.zeros((1, 1, 3), np.uint8), left, top, 1.0)
    scale = side / max(height, width)
    if not enlarge:
        scale = min(1.0, scale)
    return Place(resize(part, max(1, round(height * scale)), max(1, round(width * scale))), left, top, scale)


_READERS: Final[dict[str, Callable[[int], OcrReader]]] = {"rapidocr": RapidOcr}
