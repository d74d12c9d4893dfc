"""uvicorn's HTTP protocol with bounds: it takes heads and trailers whole into memory, and waits for ever, otherwise.

* Bytes that are no body (request line, headers, chunk extensions, trailers) and the number of headers are bounded.
* Every connection goes through a `Door`, which closes those that are silent.
* An answer that is given before its request was whole (413) is sent, then what still arrives is read and dropped for a
  while: a caller that is still sending would lose the answer to a reset connection.
* A caller that hangs up is noticed by every request of the connection, not by the latest alone.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from streetvision_core.serving._door import Door
from streetvision_core.serving._request_id import HEADER, next_id
from streetvision_core.settings import ServingSettings

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers; a signed query has 1 kB."""
MAX_HEADERS: Final = 100
"""Trailers too, of which we read none."""
WATCHERS: Final = ("/health/", "/metrics")
"""What is still answered on the reserve."""


class TooManyHeadersError(Exception):
    """Ends the parsing of a request; the parser's owner answers 400."""


class BoundedHttp(HttpToolsProtocol):
    """One connection; made by `bounded`, which gives it its door."""

    door: Door

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address: str | None = None
        self.reserved = False
        self._dry = 0
        """Bytes since the last head or piece of a body was complete."""
        self._in_head = False
        self._whole = True
        self._trailers = 0
        self._leaving = False
        self._half = False
        self._active: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody connects."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else None
        self._lingering = _Lingering(self)
        if not self.door.enter(self):
            self._write_error(503, "more connections than this server holds", "send the request again after 1 s")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has gone."""
        self.door.exit(self)
        self.pipeline.clear()
        if self._active is not None and not self._active.response_complete:
            self._active.disconnected = True
            self._active.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The caller sends no more. One that has sent several requests ahead waits for their answers."""
        self._half = bool(self.pipeline)
        return self._half

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, then looks whether a head or the trailers have come to their end."""
        self._dry += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self.cycle is not None:  # nothing is spoken here but HTTP/1.1
                self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            many = isinstance(error.__context__, TooManyHeadersError)
            self._refuse(f"more than {MAX_HEADERS} headers" if many else "a request that is no HTTP/1.1")
        else:
            if self._dry > MAX_HEAD_BYTES:
                self._refuse(f"more than {MAX_HEAD_BYTES} bytes of headers or trailers")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._whole, self._trailers = True, False, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; trailers are counted and forgotten."""
        if self._in_head:
            headers = self.headers
            if len(headers) >= MAX_HEADERS:
                raise TooManyHeadersError
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            headers.append((name, value))
            return
        self._trailers += 1
        if self._trailers > MAX_HEADERS:
            raise TooManyHeadersError

    def on_headers_complete(self) -> None:
        """Its head is over; the body has its own cap."""
        self._in_head, self._dry = False, 0
        self.door.work(self)
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False
        self.cycle.transport = self._lingering  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._dry = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._whole = True
        super().on_message_complete()
        if self._leaving:
            self.transport.close()

    def on_response_complete(self) -> None:
        """An answer has gone: the next request of the connection, or rest."""
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._leaving:
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._half:
            self.transport.close()
        else:
            self.door.rest(self)

    def unread_bytes(self) -> int:
        """Bytes of answers that the caller has not read yet."""
        return self.transport.get_write_buffer_size()

    def leave(self) -> None:
        """Closes the connection."""
        self.transport.close()

    def abort(self) -> None:
        """Closes the connection without sending what is left."""
        self.transport.abort()

    def linger(self) -> None:
        """Closes the connection once its request has come, or after `head_seconds`."""
        self._leaving = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.door.rest(self)

    @property
    def whole(self) -> bool:
        """Whether the latest request has come to its end."""
        return self._whole

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        if self.reserved and not cycle.scope["path"].startswith(WATCHERS):
            cycle.keep_alive = False
            app = _no_room
        super()._start_asgi_task(cycle, app)

    def _refuse(self, got: str) -> None:
        """Answers 400 if an answer is due, and hangs up."""
        if self.transport.is_closing():
            return
        due = self._in_head or self.cycle is None or not self.cycle.response_started
        if due and not self.pipeline and not self._leaving:
            self._write_error(400, got, "send the request as HTTP/1.1 has it")
        self.transport.close()

    def _write_error(self, status: int, got: str, action: str) -> None:
        head, body = _error(status, got, action)
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in head)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)


class _Lingering:
    """A transport as one request sees it: closing it too early keeps the answer from the caller."""

    __slots__ = ("_connection", "write")

    def __init__(self, connection: BoundedHttp) -> None:
        self._connection = connection
        self.write = connection.transport.write

    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    def close(self) -> None:
        if self._connection.whole:
            self._connection.transport.close()
        else:
            self._connection.linger()


def bounded(limits: ServingSettings) -> type[BoundedHttp]:
    """The protocol of one server, with a door of its own."""
    return type("BoundedHttp", (BoundedHttp,), {"door": Door(limits)})


def _error(status: int, got: str, action: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    request_id = next_id()
    body = json.dumps(
        {
            "error": "OverloadedError" if status == 503 else "RequestError",
            "got": got,
            "allowed": "the connections and requests that docs/serving.md describes",
            "do": action,
            "request_id": request_id,
        }
    ).encode()
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (HEADER.encode(), request_id.encode()),
    ]
    if status == 503:
        head.append((b"retry-after", b"1"))
    return head, body


async def _no_room(scope: Any, receive: Any, send: Any) -> None:
    head, body = _error(503, "more connections than this server holds", "send the request again after 1 s")
    await send({"type": "http.response.start", "status": 503, "headers": head})
    await send({"type": "http.response.body", "body": body})
