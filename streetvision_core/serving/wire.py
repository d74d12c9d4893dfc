"""How answers and named errors cross the border between gateway and model server: JSON over HTTP/1.1.

Ordinary HTTP, so that a model server can be asked with curl and can lie behind any proxy. A caller that closes its
connection gives its image up.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, unquote

from streetvision_core import errors
from streetvision_core.checked import MAX_BINS, checked_verdict, count, flag, moment, seconds, share, text
from streetvision_core.errors import EngineError, MissingExtraError, StreetVisionError
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.types import ERAS, STAGES, Stage, Verdict

ANSWER_PATH: Final = "/answer"
VIDEO_PATH: Final = "/answer-video"
STATUS_PATH: Final = "/status"
NAME_HEADER: Final = "x-name"
SHA256_HEADER: Final = "x-sha256"
DEADLINE_HEADER: Final = "x-deadline-seconds"
PARTIAL_HEADER: Final = "x-partial"
_ERRORS: Final = {
    name: kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, (errors.ServingError, errors.ImageError, errors.VideoError))
}


@dataclass(frozen=True, slots=True)
class Status:
    """What a model server says of itself once it answers frames.

    Attributes:
        version: the model version that answers.
        policy: its exit policy.
        since: when it began to answer, aware, UTC.
        created: when the version was made, if known.
        waiting: images admitted and not yet answered.
        reference: share of the version's own calibration frames in each bin of `drift.BINS`; empty if not known.
        stages: those the version has a model for; empty if not known.
        instead_of: the version that ought to serve and cannot; empty where this is the one.
    """

    version: str
    policy: str
    since: datetime
    created: datetime | None = None
    waiting: int = 0
    reference: tuple[float, ...] = ()
    stages: tuple[Stage, ...] = ()
    instead_of: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "version": self.version,
            "policy": self.policy,
            "since": self.since.isoformat(),
            "created": self.created.isoformat() if self.created else None,
            "waiting": self.waiting,
            "reference": list(self.reference),
            "stages": list(self.stages),
            "instead_of": self.instead_of,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Status:
        """The inverse of `to_dict`; a model server may run elsewhere and be odd, so every value is looked at.

        Raises:
            ValueError: a value that is missing or of another kind; so do KeyError and TypeError.
        """
        created, reference = data["created"], data["reference"]
        if not isinstance(reference, list):
            raise TypeError("no list of shares")
        # a model server of an earlier version names no stages
        stages = tuple(stage for stage in STAGES if stage in data.get("stages", ()))
        return cls(
            version=text(data["version"]),
            policy=text(data["policy"]),
            since=moment(data["since"]),
            created=None if created is None else moment(created),
            waiting=count(data["waiting"]),
            reference=tuple(share(value) for value in reference[:MAX_BINS]),
            stages=stages,
            instead_of=text(data.get("instead_of", ""), empty=True),
        )


def image_headers(image: Image, seconds: float | None, partial: bool) -> dict[str, str]:
    """The headers that go with an image's bytes."""
    headers = {NAME_HEADER: quote(image.name[:200]), SHA256_HEADER: image.sha256}
    if seconds is not None:
        headers[DEADLINE_HEADER] = f"{seconds:.4f}"
    if partial:
        headers[PARTIAL_HEADER] = "1"
    return headers


def image_of(data: bytes, headers: Mapping[str, str]) -> tuple[Image, float | None, bool]:
    """The inverse of `image_headers`: the image, the seconds its caller waits, whether a partial answer will do."""
    image = Image(data, unquote(headers.get(NAME_HEADER, "body")), headers.get(SHA256_HEADER, ""))
    seconds = headers.get(DEADLINE_HEADER)
    return image, float(seconds) if seconds else None, headers.get(PARTIAL_HEADER) == "1"


def answer_to_dict(answer: Answer) -> dict[str, Any]:
    """A JSON-ready form."""
    # to_dict rounds p, and 0.4999999 would come out as the forbidden 0.5
    verdict = {**answer.verdict.to_dict(), "p_roadwork": answer.verdict.p_roadwork}
    return {
        "verdict": verdict,
        "width": answer.width,
        "height": answer.height,
        "era": answer.era,
        "complete": answer.complete,
        "steps": dict(answer.steps),
    }


def answer_from_dict(data: Mapping[str, Any]) -> Answer:
    """The inverse of `answer_to_dict`; what a model server or a cache holds may be odd, so every value is looked at.

    Raises:
        ValueError: a value that is missing or of another kind; so do KeyError, TypeError and AttributeError.
    """
    verdict = checked_verdict(Verdict.from_dict(data["verdict"]))
    if data["era"] not in ERAS:
        raise ValueError("no era")
    steps = {text(name): seconds(value) for name, value in data["steps"].items()}
    width, height = count(data["width"], least=1), count(data["height"], least=1)
    return Answer(verdict, width, height, data["era"], flag(data["complete"]), steps)


def error_to_dict(error: StreetVisionError) -> dict[str, Any]:
    """A JSON-ready form with the error's data."""
    return {**error.to_dict(), "data": json.loads(json.dumps(error.data, default=str))}


def error_from_dict(data: Mapping[str, Any]) -> StreetVisionError:
    """The inverse of `error_to_dict`; an error of a kind not known here becomes an `EngineError`."""
    details = data.get("data", {})
    if not isinstance(details, dict):
        raise TypeError("details that are no JSON object")
    if data.get("error") == MissingExtraError.__name__:
        return MissingExtraError(str(details["package"]), str(details["extra"]))
    kind = _ERRORS.get(str(data.get("error")), EngineError)
    texts = [str(data.get(name, "nothing")) for name in ("got", "allowed", "do")]
    retry = details.get("retry_after_seconds")
    if retry is not None and (isinstance(retry, bool) or not isinstance(retry, int | float) or not 0 <= retry <= 3600):
        details = {name: value for name, value in details.items() if name != "retry_after_seconds"}
    return kind(*texts, **{name: value for name, value in details.items() if name not in ("got", "allowed", "action")})
