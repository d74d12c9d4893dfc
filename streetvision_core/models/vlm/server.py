"""Image-text models behind a server that speaks the OpenAI chat API, such as `vllm serve`.

Used of the API: chat completions with images as data URLs, `logprobs` and `top_logprobs`; beyond it vLLM's
`chat_template_kwargs`, which turns thinking off. Where no spelling of yes (or of no) is among the top tokens, it counts
as probable as the last of them: the most it can be.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx

from streetvision_core.errors import VlmServerError
from streetvision_core.images.decode import encode_jpeg
from streetvision_core.models.vlm.answers import AnswerReader, Position, YesNo
from streetvision_core.models.vlm.images import to_side
from streetvision_core.models.vlm.prompts import EXPLAIN, message, question_for
from streetvision_core.settings import Settings
from streetvision_core.types import Frame

TOP_LOGPROBS: Final = 20
"""The most that vLLM and the OpenAI API give."""
JPEG_QUALITY: Final = 95
EXPLAIN_TOKENS: Final = 96
MAX_ANSWER_BYTES: Final = 2**20
_CONNECT_SECONDS: Final = 2.0
_LOG_ONE: Final = 1e-3
"""log 1, and what rounding may add to it."""


class ServerVlm:
    """A model behind a server.

    After a failure that says the server is down or overloaded, nobody waits for it again until `retry_after_seconds`
    have passed: the cascade goes on without the stage at once.

    Args:
        name: the model's name, as the server knows it.
        url: of the API, ending in `/v1`.
        api_key: sent as a bearer token; None sends none.
        timeout_seconds: longest one question may take.
        retry_after_seconds: how long a server that failed is left alone.
        parallel: questions under way at once.
        max_side_pixels: larger images are made smaller before they are sent.
        min_mass: least P(yes) + P(no) that counts as an answer.
        clock: seconds.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 6.0,
        retry_after_seconds: float = 30.0,
        parallel: int = 4,
        max_side_pixels: int = 1024,
        min_mass: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.url = name, url.rstrip("/")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, _CONNECT_SECONDS))
        )
        self._timeout_seconds, self._max_side_pixels = timeout_seconds, max_side_pixels
        self._parallel = parallel
        self._reader = AnswerReader(min_mass)
        self._rest = _Rest(retry_after_seconds, clock)

    @classmethod
    def from_settings(cls, name: str, settings: Settings) -> ServerVlm:
        """The model a profile names, behind the server of the settings."""
        chosen = settings.vlm
        return cls(
            name,
            chosen.url,
            api_key=chosen.api_key.get_secret_value() if chosen.api_key else None,
            timeout_seconds=chosen.timeout_seconds,
            retry_after_seconds=chosen.retry_after_seconds,
            parallel=chosen.parallel,
            max_side_pixels=chosen.max_side_pixels,
            min_mass=chosen.min_mass,
        )

    def answer(self, frames: Sequence[Frame], question: str | None = None) -> YesNo:
        """See `Vlm.answer`."""
        text = question_for(len(frames), question)
        return self._reader.read(lambda tokens: [self._positions(frames, text, tokens)])[0]

    def answer_each(self, frames: Sequence[Frame], question: str | None = None) -> list[YesNo]:
        """See `Vlm.answer_each`; the server batches what arrives together."""
        with ThreadPoolExecutor(max(1, min(self._parallel, len(frames))), thread_name_prefix="sv-vlm") as pool:
            return list(pool.map(lambda frame: self.answer([frame], question), frames))

    def explain(self, frames: Sequence[Frame], question: str | None = None) -> str:
        """See `Vlm.explain`."""
        question_for(len(frames), question)
        choice = self._ask(frames, question or EXPLAIN, {"max_tokens": EXPLAIN_TOKENS})
        return str(_at(choice, "message", "content") or "").strip()

    def _positions(self, frames: Sequence[Frame], text: str, tokens: int) -> list[Position]:
        choice = self._ask(frames, text, {"max_tokens": tokens, "logprobs": True, "top_logprobs": TOP_LOGPROBS})
        content = _at(choice, "logprobs", "content")
        if not isinstance(content, list) or not content:
            raise self._odd("an answer without log-probabilities", "start the server with logprobs allowed")
        try:
            return [_position(one) for one in content]
        except (KeyError, TypeError, ValueError) as error:
            raise self._odd(f"log-probabilities of another form ({error!r})") from error

    def _ask(self, frames: Sequence[Frame], text: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first choice of one chat completion."""
        self._rest.check(self)
        body = {
            "model": self.name,
            "messages": message([self._image(frame) for frame in frames], text),
            "temperature": 0,
            "chat_template_kwargs": {"enable_thinking": False},
            **options,
        }
        answer = self._post(body)
        choice = _at(answer, "choices", 0)
        if not isinstance(choice, dict):
            raise self._odd("an answer without choices")
        return choice

    def _post(self, body: Mapping[str, Any]) -> Any:
        try:
            status, data = self._receive(body)
        except httpx.TimeoutException as error:
            self._rest.begin()
            raise self._down(f"no answer of {self.url} within {self._timeout_seconds:g} s") from error
        except httpx.HTTPError as error:
            self._rest.begin()
            raise self._down(f"{self.url}: {type(error).__name__}: {error}") from error
        if status != httpx.codes.OK:
            raise self._refused(status, data)
        try:
            return json.loads(data)
        except ValueError as error:
            raise self._odd(f"{len(data)} bytes that are no JSON") from error

    def _receive(self, body: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body; a limit on bytes and on the whole time, because httpx limits only each single wait."""
        end, data = time.monotonic() + self._timeout_seconds, b""
        with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > MAX_ANSWER_BYTES:
                    raise self._odd(f"more than {MAX_ANSWER_BYTES} bytes")
                if time.monotonic() > end:
                    raise httpx.ReadTimeout("the answer trickles")
            return response.status_code, data

    def _image(self, frame: Frame) -> dict[str, Any]:
        jpeg = encode_jpeg(to_side(frame.pixels, self._max_side_pixels), JPEG_QUALITY)
        url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        return {"type": "image_url", "image_url": {"url": url}}

    def _refused(self, status: int, data: bytes) -> VlmServerError:
        said = data[:200].decode("utf-8", "replace").strip()
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            self._rest.begin()
            return self._down(f"status {status} of {self.url}: {said}")
        actions = {
            401: "set SV_VLM__API_KEY to the server's key",
            404: f"serve the model under its name: vllm serve {self.name}",
        }
        return self._odd(f"status {status}: {said}", actions.get(status, "read the server's log"))

    def _down(self, got: str) -> VlmServerError:
        return VlmServerError(
            got=got,
            allowed=f"a server that answers chat completions of {self.name} in {self._timeout_seconds:g} s",
            action=f"start it (vllm serve {self.name}), or set SV_VLM__URL; the cascade goes on without stage 3",
            name=self.name,
            down=True,
        )

    def _odd(self, got: str, action: str = "check that the server speaks the OpenAI chat API") -> VlmServerError:
        return VlmServerError(
            got=f"{got} from {self.url}",
            allowed="a chat completion of the OpenAI API",
            action=action,
            name=self.name,
            down=False,
        )


class _Rest:
    """Remembers a failure, so that the next questions do not wait for a server that is down."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._until = float("-inf")

    def begin(self) -> None:
        """The server has failed now."""
        with self._lock:
            self._until = self._clock() + self._seconds

    def check(self, vlm: ServerVlm) -> None:
        """Raises while the server is left alone."""
        with self._lock:
            rest = self._until - self._clock()
        if rest > 0:
            raise vlm._down(f"{vlm.url}, which failed a moment ago and is asked again in {rest:.0f} s")


def _position(one: Mapping[str, Any]) -> Position:
    logprobs: dict[str, float] = {}
    for seen in (one, *one["top_logprobs"]):
        value = float(seen["logprob"])
        if not value <= _LOG_ONE:
            raise ValueError(f"log-probability {value}")
        logprobs[str(seen["token"])] = value
    return Position(str(one["token"]), logprobs, floor=min(logprobs.values()))


def _at(value: Any, *path: str | int) -> Any:
    """What lies at a path of keys and places, or None."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value
