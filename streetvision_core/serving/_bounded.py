"""uvicorn's HTTP protocol with a bound on a request's head, which it takes whole into memory otherwise."""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers; a signed query has 1 kB."""


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 and hangs up when a head goes on for longer."""

    _head_bytes = 0
    _in_head = False

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, then looks whether the head has come to its end."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("Request header too large")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is over; the body has its own cap."""
        self._in_head = False
        super().on_headers_complete()
