"""The border between the gateway and whatever holds the model: encoded bytes go in, answers come out.

`local.LocalBackend` decodes and predicts in this process; `fleet.Fleet` asks model servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from streetvision_core.types import Era, Stage, Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One encoded image of a request.

    Attributes:
        data: the bytes.
        name: how the caller called it, for answers and messages.
        sha256: hex digest of `data`.
    """

    data: bytes
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict with what is known about its image.

    Attributes:
        verdict: the verdict.
        width: pixels.
        height: pixels.
        era: the image regime, guessed from the pixels.
        complete: False for the best evidence so far of a cascade that the deadline cut short; never cached.
        steps: seconds spent in `decode` and in the `queue`, before the cascade.
    """

    verdict: Verdict
    width: int
    height: int
    era: Era
    complete: bool = True
    steps: Mapping[str, float] = field(default_factory=dict)


class Backend(Protocol):
    """Where answers come from."""

    def identity(self, image: Image | None = None) -> tuple[str, str]:
        """Model version and policy that would answer an image, or any; NotReadyError if none would.

        For an image, one that was lost a moment ago may count, because it will be there again before the deadline.
        """
        ...

    def reference(self, version: str) -> tuple[float, ...]:
        """How the version's own probabilities were spread over the bins of `drift`; empty if that is not known."""
        ...

    def stages(self) -> tuple[Stage, ...]:
        """The stages that the model which would answer has; empty if that is not known."""
        ...

    def instead_of(self, version: str) -> str:
        """The version that ought to serve where this one stands in for it; empty where it does not."""
        ...

    async def answer(self, image: Image, deadline: float | None = None, partial: bool = False) -> Answer:
        """Answers one image, or raises a named error; cancelling gives the image up.

        Args:
            image: the image.
            deadline: event-loop time after which nobody waits any more.
            partial: at the deadline, answer with what the stages so far have seen rather than not at all.
        """
        ...

    async def answer_video(self, video: Image, deadline: float | None = None) -> dict[str, Any]:
        """The verdict over time of an encoded video, JSON-ready; see `clips.answer_clip`."""
        ...
