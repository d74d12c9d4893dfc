"""A picture with what was found drawn into it, for people to look at."""

from __future__ import annotations

from typing import Final

import numpy as np

from streetvision_core.types import Box, Frame, Pixels, Verdict

SHOWN_SCORE: Final = 0.3
"""Weaker boxes are dozens per frame and hide what there is."""
_YES, _NO = (213, 94, 0), (0, 114, 178)
"""Vermilion and blue, which colour-blind people tell apart."""


def annotate(frame: Frame, verdict: Verdict, roadwork: bool) -> Pixels:
    """Draws boxes, their labels and a line with the answer.

    Args:
        frame: the picture; it is not changed.
        verdict: what was answered.
        roadwork: the decision at the caller's threshold.

    Returns:
        uint8 [H, W, 3].
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(frame.pixels)
    draw = ImageDraw.Draw(image)
    short = min(frame.width, frame.height)
    font, thick = ImageFont.load_default(max(10, short / 32)), max(1, round(short / 250))
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    for box in shown_boxes(verdict):
        draw.rectangle((box.x0, box.y0, max(box.x0, box.x1), max(box.y0, box.y1)), outline=_YES, width=thick)
        above = max(0.0, box.y0 - 1.4 * font.size)  # inside it would hide what was found
        _text(draw, (box.x0, above), f"{box.label} {box.score:.2f}", font, _YES)
    answer = f"{'road work' if roadwork else 'no road work'} {verdict.p_roadwork:.3f} ({verdict.exit_stage})"
    _text(draw, (0, 0), answer, font, _YES if roadwork else _NO)
    return np.asarray(image, dtype=np.uint8)


def shown_boxes(verdict: Verdict) -> list[Box]:
    """The boxes that are drawn, of every stage and detector."""
    found = [box for seen in verdict.evidence for boxes in seen.boxes.values() for box in boxes]
    return [box for box in found if box.score >= SHOWN_SCORE]


def _text(draw: object, at: tuple[float, float], text: str, font: object, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = draw.textbbox(at, text, font=font)  # type: ignore[attr-defined]
    draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), fill=colour)  # type: ignore[attr-defined]
    draw.text(at, text, fill="white", font=font)  # type: ignore[attr-defined]
