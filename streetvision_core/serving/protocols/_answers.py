"""Outcomes and errors as HTTP answers."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.responses import Response

from streetvision_core import errors
from streetvision_core.errors import StreetVisionError
from streetvision_core.serving import _request_id
from streetvision_core.serving.gateway import Outcome
from streetvision_core.types import is_unsure

STATUS: Final[dict[type[StreetVisionError], int]] = {
    errors.ImageTooLargeError: 413,
    errors.ImageFormatError: 415,
    errors.ImageBrokenError: 400,
    errors.VideoTooLargeError: 413,
    errors.VideoFormatError: 415,
    errors.VideoError: 400,
    errors.MissingExtraError: 501,
    errors.RequestTimeoutError: 408,
    errors.RequestError: 400,
    errors.AccessError: 401,
    errors.CrossSiteError: 403,
    errors.HostError: 421,
    errors.OverloadedError: 429,
    errors.NotReadyError: 503,
    errors.DeadlineError: 503,
    errors.ModelServerError: 503,
    errors.EngineError: 500,
}
"""Anything else is our own fault: 500."""

_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def status_of(error: StreetVisionError) -> int:
    """The HTTP status of a named error."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer that no cache keeps."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Response(body, status, {**_HEADERS, **(headers or {})}, "application/json")


def error_response(error: StreetVisionError) -> Response:
    """A named error as JSON, with Retry-After where coming again helps."""
    status = status_of(error)
    headers = {"connection": "close"} if status in (408, 413) else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if "retry_after_seconds" in error.data:
        headers["retry-after"] = str(error.data["retry_after_seconds"])
    return json_response(tagged(error.to_dict()), status, headers)


def tagged(body: dict[str, Any]) -> dict[str, Any]:
    """An error's body with the id of the request, by which the server's log knows it."""
    request_id = _request_id.current()
    return {**body, "request_id": request_id} if request_id else body


def outcome_response(outcomes: list[Outcome], many: bool, evidence: bool) -> Response:
    """One image's verdict or error; for forms that may hold several, `{"results": […]}`.

    If every image of several failed, the first one's error is the answer. If there was no time for all of them, that is
    the answer: half of one would be paid for twice.
    """
    failures = [o.answer for o in outcomes if isinstance(o.answer, StreetVisionError)]
    late = next((error for error in failures if isinstance(error, errors.DeadlineError)), None)
    if late is not None:
        return error_response(late)
    if len(failures) == len(outcomes):
        return error_response(failures[0])
    results = [to_dict(outcome, evidence) for outcome in outcomes]
    return json_response({"results": results} if many else results[0])


def to_dict(outcome: Outcome, evidence: bool) -> dict[str, Any]:
    """One image's verdict or error as JSON-ready data."""
    answer, image = outcome.answer, outcome.image
    head = {"name": image.name, "sha256": image.sha256}
    if isinstance(answer, StreetVisionError):
        return {**head, "status": status_of(answer), **answer.to_dict()}
    verdict = answer.verdict.to_dict()
    # to_dict rounds, and 0.4999999 would leave the server as the forbidden 0.5
    verdict["p_roadwork"] = answer.verdict.p_roadwork
    if not evidence:
        del verdict["evidence"]
    verdict["unsure"] = is_unsure(answer.verdict.p_roadwork)
    return {**head, "width": answer.width, "height": answer.height, "cached": outcome.cached, **verdict}
