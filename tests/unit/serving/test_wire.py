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


NOW = datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)
ODD = [None, True, "", "7", [], {}, -1, float("nan"), float("inf"), 1e300]


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("version", {"7"}),
        ("policy", {"7"}),
        ("since", set()),
        ("created", {"None"}),
        ("waiting", set()),
        ("reference", {"[]"}),
        ("instead_of", {"", "7"}),
    ],
)
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_status__every_odd_value_is_refused(name, fits, odd):
    data = {**wire.Status("v1", "p", NOW, NOW, 3, (0.5, 0.5)).to_dict(), name: odd}
    if str(odd) in fits:
        assert wire.Status.from_dict(data).version
        return
    with pytest.raises((ValueError, TypeError, KeyError)):
        wire.Status.from_dict(data)


@pytest.mark.parametrize("path", [
    ("width",), ("height",), ("era",), ("complete",), ("steps", "decode"), ("verdict", "p_roadwork"),
    ("verdict", "exit_stage"), ("verdict", "certified"), ("verdict", "seconds"), ("verdict", "evidence"),
])  # fmt: skip
@pytest.mark.parametrize("odd", [None, "x", [7], {"a": 7}, -1, float("nan"), 1e300], ids=repr)
def test_answer__every_odd_value_is_refused(path, odd):
    verdict = Verdict(0.25, "detectors", True, SEEN, "v1", "certified", 0.25)
    data = over(wire.answer_to_dict(Answer(verdict, 640, 480, "native", False, {"decode": 0.125})))
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    if (path, odd) in ((("steps", "decode"), 1e300), (("verdict", "seconds"), 1e300)):
        return  # long, but a duration
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        wire.answer_from_dict(data)


@pytest.mark.parametrize("data", [None, [], "x", 7, {"retry_after_seconds": "soon"}, {"got": "twice"}])
def test_error__with_odd_details_is_still_one(data):
    try:
        error = wire.error_from_dict({"error": "OverloadedError", "data": data})
    except TypeError:
        assert not isinstance(data, dict)
    else:
        assert error.data.get("retry_after_seconds") is None


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
