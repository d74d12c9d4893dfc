"""The file parts of a multipart body that lies in memory, by python-multipart."""

from __future__ import annotations

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from streetvision_core.errors import RequestError

MAX_PARTS: Final = 64
"""Parts of any kind; the number of images is limited elsewhere."""


class _Parts:
    """Collects what the parser finds."""

    def __init__(self) -> None:
        self.files: list[tuple[str, bytes]] = []
        self._count = 0
        self._data = bytearray()
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""

    def on_part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise _bad(f"more than {MAX_PARTS} parts")
        self._data = bytearray()
        self._disposition = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" in options:
            self.files.append((options[b"filename"].decode("utf-8", "replace"), bytes(self._data)))

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""


def read_parts(body: bytes, content_type: str) -> list[tuple[str, bytes]]:
    """File name and bytes of each file part; other fields are passed over.

    Raises:
        RequestError: no boundary, a broken or unfinished body, or too many parts.
    """
    _, options = parse_options_header(content_type)
    if b"boundary" not in options:
        raise _bad("no boundary in the Content-Type")
    parts = _Parts()
    finished: list[bool] = []
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": parts.on_part_begin,
                "on_part_data": parts.on_part_data,
                "on_part_end": parts.on_part_end,
                "on_header_field": parts.on_header_field,
                "on_header_value": parts.on_header_value,
                "on_header_end": parts.on_header_end,
                "on_end": lambda: finished.append(True),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise _bad(str(error)[:100]) from error
    if not finished:
        raise _bad("a body that ends within a part")
    return parts.files


def _bad(got: str) -> RequestError:
    return RequestError(
        got=f"a broken multipart body: {got}",
        allowed="multipart/form-data with file parts",
        action="let your HTTP library build it, e.g. curl -F file=@photo.jpg",
    )
