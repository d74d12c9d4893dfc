import json
from datetime import UTC, datetime

import pytest

from streetvision_core import errors
from streetvision_core.serving import wire
from streetvision_core.serving.backend import Answer, Image
from streetvision_core.types import Box, Evidence, Verdict

BOX = Box(1, 2, 3, 4, "cone", 0.5)
SEEN = (Evidence("classifier", {"logit": 0.25}, seconds=0.5), Evidence("detectors", {}, {"a": (BOX,)}, ("ROAD",), 1.0))


def over(value):
    return json.loads(json.dumps(value, allow_nan=False))


@pytest.mark.parametrize("p", [0.49999999999, 0.0, 1.0, 0.123456789012345])
def test_answer__comes_over_unchanged(p):
    verdict = Verdict(p, "detectors", True, SEEN, "v1", "certified", 0.25)
    answer = Answer(verdict, 640, 480, "native", False, {"decode": 0.125})
    assert wire.answer_from_dict(over(wire.answer_to_dict(answer))) == answer


def test_status__comes_over_unchanged():
    moment = datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)
    for status in (wire.Status("v1", "p", moment, moment, 3, (0.5, 0.5)), wire.Status("v1", "p", moment)):
        assert wire.Status.from_dict(over(status.to_dict())) == status


def test_error__comes_over_with_its_kind_and_data():
    error = errors.OverloadedError("much", "less", "wait", retry_after_seconds=7)
    other = wire.error_from_dict(over(wire.error_to_dict(error)))
    assert type(other) is errors.OverloadedError
    assert (str(other), other.data) == (str(error), {"retry_after_seconds": 7})


@pytest.mark.parametrize("name", ["SystemExit", "StorageError", "nonsense", None])
def test_error__of_another_kind_is_the_engines(name):
    assert type(wire.error_from_dict({"error": name})) is errors.EngineError


@pytest.mark.parametrize(("seconds", "partial"), [(None, False), (2.5, True)])
def test_image__headers_hold_any_name(seconds, partial):
    image = Image(b"x", "Straße 7/\r\n😀.jpg", "ab")
    headers = wire.image_headers(image, seconds, partial)
    assert all(text.isascii() and text.isprintable() for text in headers.values())
    other, other_seconds, other_partial = wire.image_of(b"x", headers)
    assert (other.name, other.sha256, other_seconds, other_partial) == (image.name, "ab", seconds, partial)
