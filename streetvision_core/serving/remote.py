"""One model server as the gateway sees it: ready or not, how it was, and how to ask it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import structlog

from streetvision_core.errors import EngineError, ModelServerError, NotReadyError, StreetVisionError
from streetvision_core.serving import wire
from streetvision_core.serving._line import Line, Reply
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.serving.servers import ServerSpec

Told = TypeVar("Told")
LOOK_SECONDS: Final = 2.0
"""Longest a model server may take to say how it is; its event loop has nothing else to do."""
LOOKS_MISSED: Final = 3
"""So many times not answered in a row, and what it holds is given to another."""
SLOW_ANSWERS: Final = 3
"""So many answers too late in a row, and it gets no image for a while."""
REST_SECONDS: Final = 10.0
_log = structlog.get_logger(__name__)


class RemoteServer:
    """A model server.

    Args:
        spec: name, address, weight.
        changed: called whenever it becomes ready or stops being so.
    """

    def __init__(self, spec: ServerSpec, changed: Callable[[], None] = lambda: None) -> None:
        self.spec = spec
        self.status: wire.Status | None = None
        self.last: wire.Status | None = None
        self.last_at = -float("inf")
        self.reason: StreetVisionError = _not_asked(spec)
        self.hangs = False
        self._line = Line(spec.url)
        self._changed = changed
        self._missed = 0
        self._slow = 0
        self._rests_until = 0.0

    @property
    def ready(self) -> bool:
        """Whether it answers frames."""
        return self.status is not None and time.monotonic() >= self._rests_until

    async def look(self) -> None:
        """Asks how it is; never raises."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                reply = await self._line.request("GET", wire.STATUS_PATH)
            if reply.status == 200:
                self._note_status(wire.Status.from_dict(json.loads(reply.body)))
            else:
                self._note_down(_error_of(reply))
        except StreetVisionError as error:
            self._note_down(error)
        except TimeoutError:
            self._note_miss()
        except Exception as error:  # whatever it answered, it is this server's trouble and nobody else's
            nonsense = _nonsense(self.spec, error)
            if str(nonsense) != str(self.reason):
                _log.error("model server answers nonsense", server=self.spec.name, error=str(nonsense))
            self._note_down(nonsense)

    async def ask(self, image: Image, seconds: float | None, partial: bool) -> Answer:
        """Lets it answer one image; cancelling gives the image up there, too.

        Args:
            image: the image.
            seconds: how long its caller waits.
            partial: whether the best evidence so far will do at the end.

        Raises:
            ModelServerError: the connection broke, or it answered nonsense.
            StreetVisionError: the error it named.
        """
        return await self._ask(wire.ANSWER_PATH, image, seconds, partial, wire.answer_from_dict)

    async def ask_video(self, video: Image, seconds: float | None) -> dict[str, Any]:
        """Like `ask`, for a video."""
        return await self._ask(wire.VIDEO_PATH, video, seconds, False, dict)

    async def _ask(
        self, path: str, image: Image, seconds: float | None, partial: bool, read: Callable[[dict[str, Any]], Told]
    ) -> Told:
        try:
            headers = wire.image_headers(image, seconds, partial)
            reply = await self._line.request("POST", path, headers, image.data)
            if reply.status != 200:
                raise _error_of(reply)
            answer = read(json.loads(reply.body))
        except (ModelServerError, NotReadyError) as error:
            self._note_down(error)
            raise
        except StreetVisionError:
            raise
        except Exception as error:
            nonsense = _nonsense(self.spec, error)
            self._note_down(nonsense)
            raise nonsense from error
        self._slow = 0
        return answer

    def note_slow(self) -> None:
        """Counts an answer that did not come in time."""
        self._slow += 1
        if self._slow >= SLOW_ANSWERS:
            _log.warning("model server is slow and rests", server=self.spec.name, seconds=REST_SECONDS)
            self._slow, self._rests_until = 0, time.monotonic() + REST_SECONDS
            self._changed()

    async def metrics(self) -> bytes:
        """Its own metrics.

        Raises:
            ModelServerError: it does not answer.
        """
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return (await self._line.request("GET", "/metrics")).body
        except TimeoutError:
            raise _silent(self.spec) from None

    def close(self) -> None:
        """Ends its connections."""
        self._line.abort()

    def _note_status(self, status: wire.Status) -> None:
        was_ready = self.ready
        self._missed, self.hangs = 0, False
        self.status = self.last = status
        self.last_at = time.monotonic()
        if not was_ready:
            _log.info("model server answers", server=self.spec.name, version=status.version, policy=status.policy)
            self._changed()

    def _note_down(self, error: StreetVisionError) -> None:
        if self.status is not None:
            _log.warning("model server does not answer", server=self.spec.name, error=str(error))
        self.status, self.reason = None, error
        if isinstance(error, EngineError):  # its batch does not end
            self._note_hung()
        self._changed()

    def _note_hung(self) -> None:
        """Gives what it holds to others, and lets its supervisor know."""
        self.hangs = True
        self._line.abort()

    def _note_miss(self) -> None:
        self._missed += 1
        if self._missed >= LOOKS_MISSED:
            self._note_down(_silent(self.spec))
            if self.last is not None:
                self._note_hung()


def _error_of(reply: Reply) -> StreetVisionError:
    value: Any = json.loads(reply.body)
    if not isinstance(value, dict):
        raise TypeError("an error that is no JSON object")
    return wire.error_from_dict(value)


def _not_asked(spec: ServerSpec) -> NotReadyError:
    return NotReadyError(
        got=f"a query before the model server {spec.name} was asked",
        allowed="queries once /health/ready answers 200",
        action="send the request again",
        retry_after_seconds=1,
    )


def _silent(spec: ServerSpec) -> ModelServerError:
    return _error(spec, f"no word from the model server {spec.name} within {LOOK_SECONDS:g} s")


def _nonsense(spec: ServerSpec, error: Exception) -> ModelServerError:
    return _error(spec, f"{type(error).__name__} in what the model server {spec.name} answered")


def _error(spec: ServerSpec, got: str) -> ModelServerError:
    return ModelServerError(
        got=got,
        allowed="answers of a model server of this version",
        action="send the request again; if it goes on, look into the model server's log",
        retry_after_seconds=1,
        server=spec.name,
    )
