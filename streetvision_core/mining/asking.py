"""What an image-text model says of mined frames: its answer as a weak label, and the failure modes no rule can tell.

A model that cannot be reached, or says neither yes nor no, says nothing; the day goes on without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import structlog

from streetvision_core.errors import VlmError
from streetvision_core.models.vlm import Vlm
from streetvision_core.types import FailureMode, Frame

_ANSWER: Final = "Answer with one word, yes or no."
MODE_QUESTIONS: Final[Mapping[FailureMode, str]] = MappingProxyType(
    {
        "rain": f"Is it raining in this street image, or is the road wet from rain? {_ANSWER}",
        "occlusion": (
            "Is a cone, drum, barrier, sign, worker or machine of a road work partly hidden behind something else "
            f"in this street image? {_ANSWER}"
        ),
        "unusual": (
            "Does this street image show road-work equipment of an unusual kind, that is anything but ordinary cones, "
            f"drums, barriers, signs, workers and machines? {_ANSWER}"
        ),
    }
)
YES: Final = 0.5

_log = structlog.get_logger(__name__)


def label_answers(vlm: Vlm, frames: Sequence[Frame]) -> list[float | None]:
    """P(road work) of each frame as the model sees it, in [0, 1]; None where it says nothing."""
    return _ask(vlm, frames, None)


def asked_modes(vlm: Vlm, frames: Sequence[Frame]) -> list[frozenset[FailureMode]]:
    """The failure modes the model says yes to, per frame; each costs a question per frame."""
    found: list[set[FailureMode]] = [set() for _ in frames]
    for mode, question in MODE_QUESTIONS.items():
        for modes, p in zip(found, _ask(vlm, frames, question), strict=True):
            if p is not None and p > YES:
                modes.add(mode)
    return [frozenset(modes) for modes in found]


def _ask(vlm: Vlm, frames: Sequence[Frame], question: str | None) -> list[float | None]:
    try:
        return [answer.p_yes for answer in vlm.answer_each(frames, question)]
    except VlmError as error:
        _log.warning("vlm_says_nothing", model=vlm.name, frames=len(frames), got=error.got, do=error.action)
        return [None] * len(frames)
