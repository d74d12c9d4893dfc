"""Asks a running server over HTTP, as any other caller does; what the loop sends its day with."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self

import httpx

from streetvision_core.errors import ServingError
from streetvision_core.types import Verdict

TRIES: Final = 6
"""A server that is busy or exchanges its model says when to come again; it is asked so often."""
TIMEOUT_SECONDS: Final = 120.0


class Caller:
    """A caller with several connections; use it as a context manager.

    Args:
        url: the server.
        concurrency: most requests at a time.
        key: API key, if the server needs one.
    """

    def __init__(self, url: str, concurrency: int = 8, key: str | None = None) -> None:
        headers = {"x-api-key": key} if key else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="caller")

    def verdicts(self, images: Iterable[bytes]) -> Iterator[Verdict]:
        """Verdicts of encoded images, with all evidence, in order.

        Raises:
            ServingError: an image was not answered; the server's reason stands in it.
        """
        return self._threads.map(self._ask, images)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._client.close()

    def _ask(self, image: bytes) -> Verdict:
        said: Mapping[str, Any] = {}
        for _ in range(TRIES):
            try:
                response = self._client.post("/v1/predict", params={"evidence": "true"}, content=image)
                said = response.json()
            except (httpx.HTTPError, ValueError) as error:
                raise _unanswered(f"{type(error).__name__} from {self._client.base_url}", "a running server") from error
            if response.status_code == 200:
                return Verdict.from_dict(said)
            if response.status_code not in (429, 503):
                break
            time.sleep(float(response.headers.get("retry-after", 1)))
        raise _unanswered(f"{said.get('error')}: {said.get('got')}", str(said.get("allowed")))


def _unanswered(got: str, allowed: str) -> ServingError:
    return ServingError(got, allowed, "look into the server's log, then send it again")
