"""What answers frames, and the place where one engine is exchanged for the next while requests go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol, runtime_checkable

import numpy as np
import structlog

from streetvision_core.errors import EngineError, NotReadyError
from streetvision_core.types import STAGES, Frame, Stage, Verdict

RETRY_SECONDS: Final = 2
"""When a caller should come again while a model is loading."""
_log = structlog.get_logger(__name__)


class Engine(Protocol):
    """Anything that answers frames; `streetvision_core.cascade.engine.Cascade` is one."""

    def predict(self, frames: Sequence[Frame]) -> list[Verdict]:
        """One verdict per frame, in order; called from one thread at a time."""
        ...


Watch = Callable[[int, Verdict], bool]
"""Told after each stage what is known of frame i; False says that nobody waits for it any more."""


@runtime_checkable
class StagedEngine(Protocol):
    """An engine that tells what it knows after each stage."""

    def predict_watched(self, frames: Sequence[Frame], watch: Watch) -> list[Verdict]:
        """Like `Engine.predict`."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a version beside its engine.

    Attributes:
        created: when the version was made, aware, UTC.
        reference: share of the version's own test frames in each bin of `drift.EDGES`; empty if not known.
        instead_of: the version that ought to serve and cannot; empty where this is the one.
    """

    created: datetime | None = None
    reference: tuple[float, ...] = ()
    instead_of: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class LiveEngine:
    """An engine that has answered its warm-up frame.

    Attributes:
        engine: the engine.
        version: the model version its verdicts name.
        policy: the exit policy its verdicts name.
        since: when it answered, aware, UTC.
        facts: what else is known of the version.
        stages: those it has a model for; empty if it does not say.
    """

    engine: Engine
    version: str
    policy: str
    since: datetime
    facts: Facts = field(default_factory=Facts)
    stages: tuple[Stage, ...] = ()


class EngineSlot:
    """Holds the engine that serves. Whoever took the old one before a swap finishes with it."""

    def __init__(self, on_swap: Callable[[LiveEngine], None] = lambda live: None) -> None:
        self.current: LiveEngine | None = None
        self._on_swap = on_swap

    def swap(self, live: LiveEngine) -> None:
        """Lets another engine answer from the next batch on."""
        self.current = live
        self._on_swap(live)

    def require(self) -> LiveEngine:
        """The engine that serves.

        Raises:
            NotReadyError: none yet.
        """
        if self.current is None:
            raise NotReadyError(
                got="a query before a model has answered its warm-up frame",
                allowed="queries once /health/ready answers 200",
                action="wait for the model to load; without a champion, run the first day of the loop",
                retry_after_seconds=RETRY_SECONDS,
            )
        return self.current


def warm_up(engine: Engine) -> LiveEngine:
    """Lets an engine answer one frame, so that the first caller does not pay for lazy loading.

    Raises:
        EngineError: it failed on the frame, gave no usable answer, or none of its stages saw anything.
    """
    (verdict,) = predict_checked(engine, [_warm_up_frame()])
    if not verdict.evidence:
        # a cascade whose first stage fails still answers, with the prior
        raise _failed("an answer to the warm-up frame without any evidence")
    return LiveEngine(engine, verdict.model_version, verdict.policy, datetime.now(UTC), stages=_stages_of(engine))


def _stages_of(engine: Engine) -> tuple[Stage, ...]:
    """The stages of a cascade; an engine without stages has none to name."""
    present = getattr(getattr(engine, "stages", None), "present", ())
    names = {adapter.stage for adapter in present}
    return tuple(stage for stage in STAGES if stage in names)


def predict_checked(engine: Engine, frames: Sequence[Frame], watch: Watch | None = None) -> list[Verdict]:
    """One verdict per frame, or a named error.

    Args:
        engine: answers.
        frames: N images.
        watch: told what is known after each stage, if the engine has stages.

    Raises:
        EngineError: the engine raised, or answered with another number of verdicts.
    """
    try:
        if watch is not None and isinstance(engine, StagedEngine):
            verdicts = engine.predict_watched(frames, watch)
        else:
            verdicts = engine.predict(frames)
    except Exception as error:
        _log.exception("engine failed", frames=[f.sha256[:16] for f in frames])
        raise _failed(f"{type(error).__name__} from the model") from error
    if len(verdicts) != len(frames) or not all(isinstance(v, Verdict) for v in verdicts):
        raise _failed(f"{len(verdicts)} answers to {len(frames)} frames")
    return verdicts


def predict_each(engine: Engine, frames: Sequence[Frame], watch: Watch | None = None) -> list[Verdict | EngineError]:
    """Like `predict_checked`, but a frame that breaks the model does not take its batch with it."""
    try:
        return list(predict_checked(engine, frames, watch))
    except EngineError as error:
        if len(frames) == 1:
            return [error]
    return [answer for frame in frames for answer in predict_each(engine, [frame])]


def _failed(got: str) -> EngineError:
    return EngineError(got, "one verdict per frame", "look into the server's log; the frame's sha256 stands there")


def _warm_up_frame() -> Frame:
    """Noise over a gradient, 640 x 360: no stage finds it trivially empty."""
    rng = np.random.default_rng(0)
    gradient = np.linspace(40, 200, 360)[:, None, None]
    pixels = np.clip(gradient + rng.normal(0, 20, (360, 640, 3)), 0, 255).astype(np.uint8)
    return Frame.from_pixels(pixels, "warm-up")
