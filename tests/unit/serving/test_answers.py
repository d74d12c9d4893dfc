import json

import pytest

from streetvision_core import errors
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.serving.gateway import Outcome, deadline_passed
from streetvision_core.serving.protocols._answers import error_response, outcome_response, status_of
from streetvision_core.types import Evidence, Verdict

IMAGE = Image(b"abc", "a.jpg", "0" * 64)
BROKEN = Outcome(IMAGE, errors.ImageBrokenError("half", "whole", "again"))


def outcome(p=0.9):
    verdict = Verdict(p, "classifier", True, (Evidence("classifier", {"logit": 1.0}),), "v1", "certified", 0.1)
    return Outcome(IMAGE, Answer(verdict, 4, 3, "native"))


def body(response):
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.ImageTooLargeError, 413),
        (errors.ImageFormatError, 415),
        (errors.ImageBrokenError, 400),
        (errors.RequestError, 400),
        (errors.RequestTimeoutError, 408),
        (errors.OverloadedError, 429),
        (errors.NotReadyError, 503),
        (errors.DeadlineError, 503),
        (errors.EngineError, 500),
        (errors.StorageError, 500),
    ],
)
def test_status_of__every_error_has_its_status(error, status):
    assert status_of(error("g", "a", "d")) == status


def test_error_response__says_when_to_come_again():
    response = error_response(deadline_passed(7))
    assert response.headers["retry-after"] == "7"
    assert body(response)["error"] == "DeadlineError"


@pytest.mark.parametrize("p", [0.4999999, 0.5000001])
def test_outcome_response__rounding_never_makes_one_half(p):
    assert body(outcome_response([outcome(p)], many=False, evidence=False))["p_roadwork"] == p


def test_outcome_response__evidence_only_on_request():
    assert "evidence" not in body(outcome_response([outcome()], many=False, evidence=False))
    seen = body(outcome_response([outcome()], many=False, evidence=True))["evidence"]
    assert seen[0]["scores"] == {"logit": 1.0}


def test_outcome_response__one_images_error_does_not_touch_the_others():
    response = outcome_response([BROKEN, outcome()], many=True, evidence=False)
    first, second = body(response)["results"]
    assert (response.status_code, first["status"], first["error"]) == (200, 400, "ImageBrokenError")
    assert second["p_roadwork"] == 0.9


def test_outcome_response__all_failed_is_a_failed_request():
    response = outcome_response([BROKEN, BROKEN], many=True, evidence=False)
    assert (response.status_code, body(response)["error"]) == (400, "ImageBrokenError")
