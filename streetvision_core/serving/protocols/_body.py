"""A request's body, read with a cap and taken apart into encoded images."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from streetvision_core.errors import (
    ImageFormatError,
    ImageTooLargeError,
    RequestError,
    RequestTimeoutError,
    VideoFormatError,
)
from streetvision_core.images.sniff import sniff
from streetvision_core.serving.admission import Reservation
from streetvision_core.serving.backend import Image
from streetvision_core.serving.protocols._json import load_json
from streetvision_core.serving.protocols._multipart import read_parts
from streetvision_core.settings import ServingSettings, Settings

GRACE_SECONDS: Final = 2.0
"""Only then is looked how fast a body arrives."""
MAX_DIGITS: Final = 20
"""Of a declared length; the router of the request has taken it for a number already."""
HEAVY_BYTES: Final = 256 * 1024
"""Larger bodies are taken apart in a thread, so that other requests do not wait for it."""

_PICTURES: Final = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic", "heif")
NAMED_TYPES: Final = tuple(f"image/{kind}" for kind in _PICTURES)
RAW_TYPES: Final = (*NAMED_TYPES, "image/jpg", "application/octet-stream", "application/x-www-form-urlencoded", "")
"""The bytes say what they are; `curl --data-binary` calls whatever it sends a form."""
IMAGE_TYPE, VIDEO_TYPE = "image/", "video/"
PREDICT_PATH: Final = "/v1/predict"
VIDEO_PATH: Final = "/v1/predict/video"
MULTIPART_TYPE: Final = "multipart/form-data"
JSON_TYPE: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Images:
    """What a body held.

    Attributes:
        items: the images, at least one.
        many: whether the caller used a form that can hold several, and so expects a list.
    """

    items: tuple[Image, ...]
    many: bool


@dataclass(frozen=True, slots=True)
class _Form:
    """How one kind of body is read.

    Attributes:
        max_bytes: the most a body of this kind may have.
        parse: takes the body and the whole Content-Type apart.
    """

    max_bytes: int
    parse: Callable[[bytes, str], tuple[list[tuple[str, bytes]], bool]]


async def read_images(request: Request, settings: Settings, held: Reservation) -> Images:
    """Reads the images of a request.

    Raises:
        ImageFormatError: a Content-Type that we do not read.
        ImageTooLargeError: too many bytes or images.
        RequestError: not what its Content-Type says, or without an image.
        RequestTimeoutError: it arrives too slowly.
        OverloadedError: other requests hold the memory.
    """
    content_type = request.headers.get("content-type", "")
    form = _form_of(content_type, settings)
    body = await read_capped(request, form.max_bytes, settings.serving, held)
    if len(body) < HEAVY_BYTES:
        return _take_apart(body, content_type, form, settings)
    return await asyncio.to_thread(_take_apart, body, content_type, form, settings)


async def read_video(request: Request, settings: Settings, held: Reservation) -> Image:
    """Reads the video of a request.

    Raises:
        VideoFormatError: a Content-Type that is no video's.
        ImageTooLargeError: too many bytes.
        RequestTimeoutError: it arrives too slowly.
        OverloadedError: other requests hold the memory.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind.startswith(IMAGE_TYPE):
        raise image_at_video(f"Content-Type {kind[:80]!r}")
    if not kind.startswith(VIDEO_TYPE) and kind not in RAW_TYPES:
        raise VideoFormatError(
            got=f"Content-Type {kind[:80]!r}",
            allowed="video/mp4, video/quicktime, video/webm, video/x-matroska",
            action="send the file's bytes, e.g. curl -H 'Content-Type: video/mp4' --data-binary @drive.mp4",
        )
    most = min(settings.video.max_bytes, settings.serving.max_body_bytes)
    data = await read_capped(request, most, settings.serving, held)
    if sniff(data).media == "image":
        raise image_at_video("a picture")
    return Image(data, "video", await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest()))


def _form_of(content_type: str, settings: Settings) -> _Form:
    kind = content_type.split(";")[0].strip().lower()
    most = settings.serving.max_body_bytes
    if kind in RAW_TYPES:
        return _Form(min(settings.decode.max_bytes, most), _parse_raw)
    if kind == MULTIPART_TYPE:
        return _Form(most, _parse_multipart)
    if kind == JSON_TYPE:
        return _Form(most, _parse_json)
    if kind.startswith(VIDEO_TYPE):
        raise video_at_image(f"Content-Type {kind[:80]!r}")
    raise ImageFormatError(
        got=f"Content-Type {kind[:80]!r}",
        allowed=f"{', '.join(NAMED_TYPES)}, {MULTIPART_TYPE}, {JSON_TYPE}",
        action="name the image's type, e.g. curl -H 'Content-Type: image/jpeg' --data-binary @photo.jpg",
    )


async def read_capped(
    request: Request, max_bytes: int, limits: ServingSettings, held: Reservation, seconds: float = math.inf
) -> bytes:
    """Reads a body; what is too large is refused before or while it arrives, never after.

    Args:
        request: the request.
        max_bytes: the most it may have.
        limits: how slowly it may arrive.
        held: what has arrived counts here; what was promised counts for nothing.
        seconds: longest it may take, if that is less than `body_seconds`.

    Raises:
        ImageTooLargeError: more than `max_bytes`.
        RequestTimeoutError: it arrives too slowly.
        OverloadedError: other requests hold the memory.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and len(declared) < MAX_DIGITS:
        _check_size(int(declared), max_bytes)
        held.expect(int(declared))
    elif declared:
        _check_size(max_bytes + 1, max_bytes)
    started = asyncio.get_running_loop().time()
    ends = started + min(limits.body_seconds, seconds)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout_at(min(ends, started + GRACE_SECONDS)) as patience:
            async for chunk in request.stream():
                size += len(chunk)
                _check_size(size, max_bytes)
                held.grow_to(size)
                if not chunk:
                    continue
                if chunks:
                    patience.reschedule(min(ends, started + GRACE_SECONDS + size / limits.body_bytes_per_second))
                chunks.append(chunk)
    except TimeoutError:
        raise _too_slow(min(limits.body_seconds, seconds), limits.body_bytes_per_second) from None
    return b"".join(chunks)


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ImageTooLargeError(
            got=f"a body of more than {max_bytes} bytes",
            allowed=f"at most {max_bytes} bytes",
            action="send a smaller picture, fewer at once, or raise serving.max_body_bytes and decode.max_bytes",
        )


def image_at_video(got: str) -> VideoFormatError:
    """The error for a picture where videos are answered; it names the right path."""
    return VideoFormatError(got, "a video", f"send pictures to POST {PREDICT_PATH}", endpoint=PREDICT_PATH)


def video_at_image(got: str) -> ImageFormatError:
    """The error for a video where pictures are answered; it names the right path."""
    return ImageFormatError(got, "a picture", f"send videos to POST {VIDEO_PATH}", endpoint=VIDEO_PATH)


def _take_apart(body: bytes, content_type: str, form: _Form, settings: Settings) -> Images:
    parts, many = form.parse(body, content_type)
    most = min(settings.serving.max_images, settings.serving.queue_images)
    if not parts:
        raise RequestError("a request without an image", "at least one image", "add a file part or an image")
    if len(parts) > most:
        raise ImageTooLargeError(f"{len(parts)} images at once", f"at most {most}", "split them over several requests")
    return Images(tuple(Image(data, name, hashlib.sha256(data).hexdigest()) for name, data in parts), many)


def _parse_raw(body: bytes, content_type: str) -> tuple[list[tuple[str, bytes]], bool]:
    return [("body", body)], False


def _parse_multipart(body: bytes, content_type: str) -> tuple[list[tuple[str, bytes]], bool]:
    return read_parts(body, content_type), True


def _parse_json(body: bytes, content_type: str) -> tuple[list[tuple[str, bytes]], bool]:
    value = load_json(body)
    if not isinstance(value, dict) or set(value) not in ({"image"}, {"images"}):
        raise _bad_json("JSON of another form")
    if "image" in value:
        return [("image", _decode_base64(value["image"], "image"))], False
    if not isinstance(value["images"], list):
        raise _bad_json("'images' that is no list")
    names = [f"images[{i}]" for i in range(len(value["images"]))]
    return [(name, _decode_base64(v, name)) for name, v in zip(names, value["images"], strict=True)], True


def _decode_base64(value: Any, name: str) -> bytes:
    if not isinstance(value, str):
        raise _bad_json(f"{name} that is no text")
    text = value.split(",", 1)[1] if value.startswith("data:") and "," in value else value
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad_json(f"{name} that is no base64 ({error})") from error


def _bad_json(got: str) -> RequestError:
    return RequestError(
        got=got,
        allowed='{"image": "<base64>"} or {"images": ["<base64>", …]}',
        action="encode the image's bytes as standard base64",
    )


def _too_slow(seconds: float, rate: int) -> RequestTimeoutError:
    return RequestTimeoutError(
        got="a body that arrives too slowly",
        allowed=f"bodies that arrive within {seconds:g} s, at {rate} bytes a second or more",
        action="send it again over a faster line, or send a smaller picture",
    )
