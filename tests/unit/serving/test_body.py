import asyncio
import base64
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from streetvision_core.errors import (
    ImageFormatError,
    ImageTooLargeError,
    OverloadedError,
    RequestError,
    RequestTimeoutError,
    StreetVisionError,
)
from streetvision_core.serving.admission import ByteBudget
from streetvision_core.serving.protocols._body import read_images
from streetvision_core.settings import load_settings

BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n%b\r\n'


def small(**serving):
    base = load_settings()
    serving = {"max_body_bytes": 4000, "max_images": 3, **serving}
    return base.model_copy(
        update={
            "serving": base.serving.model_copy(update=serving),
            "decode": base.decode.model_copy(update={"max_bytes": 1000}),
        }
    )


def read(body, content_type, headers=(), budget=10_000, chunk=300, pause=0.0, **serving):
    """What `read_images` makes of a body that comes in chunks, and how much of it was taken."""
    chunks = [body[i : i + chunk] for i in range(0, len(body), chunk)] or [b""]
    taken = []

    async def receive():
        await asyncio.sleep(pause)
        taken.append(chunks[len(taken)])
        return {"type": "http.request", "body": taken[-1], "more_body": len(taken) < len(chunks)}

    all_headers = [(b"content-type", content_type.encode()), *headers]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": all_headers}, receive)

    async def main():
        with ByteBudget(budget).reserve() as held:
            return await read_images(request, small(**serving), held)

    try:
        return asyncio.run(main()), sum(map(len, taken))
    except StreetVisionError as error:
        return error, sum(map(len, taken))


def encoded(*images):
    return [base64.b64encode(i).decode() for i in images]


@pytest.mark.parametrize(
    ("content_type", "body", "expected", "many"),
    [
        ("image/jpeg", b"abc", {"body": b"abc"}, False),
        ("IMAGE/PNG; charset=binary", b"abc", {"body": b"abc"}, False),
        ("", b"abc", {"body": b"abc"}, False),
        ("application/x-www-form-urlencoded", b"abc", {"body": b"abc"}, False),
        (BOUNDARY, PART % b"abc" + b"--x--\r\n", {"a.jpg": b"abc"}, True),
        ("application/json", json.dumps({"image": encoded(b"abc")[0]}).encode(), {"image": b"abc"}, False),
        ("application/json", json.dumps({"image": "data:image/jpeg;base64,YW\nJj"}).encode(), {"image": b"abc"}, False),
        (
            "application/json",
            json.dumps({"images": encoded(b"a", b"b")}).encode(),
            {"images[0]": b"a", "images[1]": b"b"},
            True,
        ),
    ],
)
def test_read_images__every_form(content_type, body, expected, many):
    images, _ = read(body, content_type)
    assert ({i.name: i.data for i in images.items}, images.many) == (expected, many)


@pytest.mark.parametrize(
    ("content_type", "body", "error", "text"),
    [
        ("text/html", b"abc", ImageFormatError, "text/html"),
        ("text/plain", b"abc", ImageFormatError, "curl -H 'Content-Type: image/jpeg'"),
        ("image/svg+xml", b"abc", ImageFormatError, "image/svg"),
        ("application/json", b"{", RequestError, "no JSON"),
        ("application/json", b"[" * 3000, RequestError, "no JSON"),
        ("application/json", b"\xff\xfe", RequestError, "no JSON"),
        ("application/json", b"[]", RequestError, "JSON of another form"),
        ("application/json", b'{"image": "YWJj", "x": 1}', RequestError, "JSON of another form"),
        ("application/json", b'{"image": 7}', RequestError, "image that is no text"),
        ("application/json", b'{"image": "!!!"}', RequestError, "image that is no base64"),
        ("application/json", b'{"image": "\\u00e4"}', RequestError, "image that is no base64"),
        ("application/json", b'{"images": "YWJj"}', RequestError, "'images' that is no list"),
        ("application/json", b'{"images": []}', RequestError, "without an image"),
        ("application/json", b'{"images": ["YQ==","YQ==","YQ==","YQ=="]}', ImageTooLargeError, "4 images at once"),
        ("multipart/form-data", b"--x--", RequestError, "no boundary"),
        (BOUNDARY, b"nonsense", RequestError, "broken multipart"),
        (BOUNDARY, PART % b"abc", RequestError, "ends within a part"),
        (BOUNDARY, b"--x--\r\n", RequestError, "without an image|broken multipart"),
        (BOUNDARY, b'--x\r\nContent-Disposition: form-data; name="t"\r\n\r\nhi\r\n--x--\r\n', RequestError, "without"),
        (BOUNDARY, PART * 65 % ((b"a",) * 65) + b"--x--\r\n", ImageTooLargeError, "4000 bytes"),
    ],
)
def test_read_images__refuses_by_name(content_type, body, error, text):
    refused, _ = read(body, content_type)
    assert type(refused) is error
    assert re.search(text, str(refused)), str(refused)


def test_read_images__declared_size_is_refused_before_a_byte_is_read():
    refused, taken = read(b"x" * 1001, "image/jpeg", [(b"content-length", b"1001")])
    assert isinstance(refused, ImageTooLargeError)
    assert taken == 0


def test_read_images__undeclared_size_is_refused_while_it_arrives():
    refused, taken = read(b"x" * 100_000, "image/jpeg", chunk=300)
    assert isinstance(refused, ImageTooLargeError)
    assert taken == 1200


@pytest.mark.parametrize("headers", [(), [(b"content-length", b"900")]])
def test_read_images__waits_for_no_memory_that_others_hold(headers):
    refused, taken = read(b"x" * 900, "image/jpeg", headers, budget=500)
    assert isinstance(refused, OverloadedError)
    assert taken == (0 if headers else 600)


def test_read_images__slow_body_is_given_up():
    refused, _ = read(b"x" * 900, "image/jpeg", pause=0.1, body_seconds=0.05)
    assert isinstance(refused, RequestTimeoutError)


@settings(max_examples=150, deadline=None)
@given(
    body=st.binary(max_size=600) | st.builds(lambda b: PART % b, st.binary(max_size=100)),
    content_type=st.sampled_from(["image/jpeg", BOUNDARY, "application/json", "multipart/form-data; boundary=\xff"]),
)
def test_read_images__any_bytes_give_images_or_a_named_error(body, content_type):
    result, _ = read(body, content_type.encode("latin-1", "ignore").decode("ascii", "ignore"))
    assert isinstance(result, StreetVisionError) or all(i.sha256 for i in result.items)
