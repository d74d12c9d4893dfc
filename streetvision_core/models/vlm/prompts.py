"""What is asked, and the form in which a chat template takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from streetvision_core.errors import VlmError

_LOOK_FOR: Final = (
    "Cones, drums, barriers, temporary signs, workers or machines at work on or beside the road count; "
    "parked lorries and finished works do not."
)
QUESTION: Final = f"Is there road work in this street image? {_LOOK_FOR} Answer with one word, yes or no."
CLIP_QUESTION: Final = (
    f"These images are frames of one street clip, in order. Is there road work in any of them? {_LOOK_FOR} "
    "Answer with one word, yes or no."
)
EXPLAIN: Final = "Say in at most two sentences what in the picture speaks for or against road work."


def question_for(count: int, question: str | None) -> str:
    """The question asked about `count` frames.

    Raises:
        VlmError: there is no frame to ask about.
    """
    if count < 1:
        raise VlmError("no frame", "at least one frame to ask about", "pass the frames of the image or clip")
    return question if question is not None else QUESTION if count == 1 else CLIP_QUESTION


def message(images: Sequence[Any], text: str) -> list[dict[str, Any]]:
    """One user turn: the images in order, then the text."""
    content = [*images, {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]
