"""Stage 3: image-text models that are asked one question and answer yes or no with a probability.

Example:
    >>> vlm = from_settings("zai-org/GLM-4.6V-Flash", settings)            # doctest: +SKIP
    >>> vlm.answer([frame]).p_yes                                          # doctest: +SKIP
    0.97
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from streetvision_core.models.vlm.answers import YesNo
from streetvision_core.models.vlm.prompts import CLIP_QUESTION, QUESTION

if TYPE_CHECKING:  # the quantising environment reads the questions and has no pydantic-settings
    from streetvision_core.settings import Settings
    from streetvision_core.types import Frame

__all__ = ["CLIP_QUESTION", "QUESTION", "Vlm", "YesNo", "from_settings"]


class Vlm(Protocol):
    """What every image-text model offers, in this process or behind a server."""

    @property
    def name(self) -> str:
        """The model's name in the profile."""

    def answer(self, frames: Sequence[Frame], question: str | None = None) -> YesNo:
        """One answer about all of the frames: one image, or the frames of a clip in order.

        Args:
            frames: at least one.
            question: a yes-no question; None asks about road work in the image, or in the clip.

        Raises:
            VlmError: the model cannot be reached, or failed.
        """

    def answer_each(self, frames: Sequence[Frame], question: str | None = None) -> list[YesNo]:
        """One answer per frame, in order."""

    def explain(self, frames: Sequence[Frame], question: str | None = None) -> str:
        """A sentence or two on what is seen, for people; nothing is decided by it."""


def from_settings(name: str, settings: Settings) -> Vlm:
    """The adapter of a model, by `vlm.backend`: `transformers` in this process, or a `server`.

    Nothing is loaded and nobody is called yet.

    Raises:
        ModelError: the model is not in the local folder (backend `transformers`).
        MissingExtraError: transformers is not installed (backend `transformers`).
    """
    if settings.vlm.backend == "server":
        from streetvision_core.models.vlm.server import ServerVlm

        return ServerVlm.from_settings(name, settings)
    from streetvision_core.models.vlm.local import LocalVlm

    return LocalVlm.from_settings(name, settings)
