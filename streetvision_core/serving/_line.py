"""A small HTTP/1.1 client for the one border inside the house: kept-alive connections over a socket file or TCP.

A general client costs more than the whole gateway (docs/decisions); this one only speaks what `model_app` answers:
a status, a Content-Length, a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from streetvision_core.errors import ModelServerError, ServingError

UNIX: Final = "unix:"
MAX_ANSWER_BYTES: Final = 64 * 2**20


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    body: bytes


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Line:
    """Connections to one server.

    Args:
        url: `unix:/path/to/socket` or `http://host:port`.

    Raises:
        ServingError: another kind of URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._path, self._host, self._port = address_parts(url)
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Sends a request; cancelling closes its connection, so that the server gives it up as well.

        Raises:
            ModelServerError: no connection, or one that broke before the answer was whole.
        """
        while self._idle:
            connection = self._idle.pop()
            try:
                return await self._send(connection, method, path, headers or {}, body)
            except ModelServerError:
                # a kept connection may have been closed meanwhile; answering twice does no harm
                self._close_idle()
        return await self._send(await self._open(), method, path, headers or {}, body)

    def abort(self) -> None:
        """Breaks every connection; whoever waits on one gets a `ModelServerError`."""
        self._close_idle()
        for connection in self._busy:
            connection.writer.transport.abort()

    def _close_idle(self) -> None:
        for connection in self._idle:
            connection.writer.close()
        self._idle.clear()

    async def _open(self) -> _Connection:
        try:
            if self._path is not None:
                return _Connection(*await asyncio.open_unix_connection(self._path))
            return _Connection(*await asyncio.open_connection(self._host, self._port))
        except OSError as error:
            raise _lost(self.url, error) from error

    async def _send(
        self, connection: _Connection, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        reader, writer = connection
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        self._busy.add(connection)
        kept = False
        try:
            writer.writelines((head.encode("latin-1"), body))
            await writer.drain()
            reply, kept = await _read(reader)
        except (OSError, EOFError, ValueError, LookupError, asyncio.LimitOverrunError) as error:
            raise _lost(self.url, error) from error
        finally:
            self._busy.discard(connection)
            if kept:
                self._idle.append(connection)
            else:
                writer.transport.abort()
        return reply


async def _read(reader: asyncio.StreamReader) -> tuple[Reply, bool]:
    """One answer, and whether the connection may be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    length = int(headers["content-length"]) if "content-length" in headers else -1
    if not 0 <= length <= MAX_ANSWER_BYTES:
        raise ValueError("an answer without a usable Content-Length")
    return Reply(status, await reader.readexactly(length)), headers.get("connection", "").lower() != "close"


def address_parts(url: str) -> tuple[str | None, str, int]:
    """Socket path or None, host, port.

    Raises:
        ServingError: neither form.
    """
    if url.startswith(UNIX) and len(url) > len(UNIX):
        return url.removeprefix(UNIX), "localhost", 0
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.port and parts.path in ("", "/"):
            return None, parts.hostname, parts.port
    except ValueError:
        pass
    raise ServingError(
        got=f"{url!r} as a model server",
        allowed="unix:/path/to/socket or http://host:port",
        action="give the address that `streetvision serve --role model` listens on",
        url=url,
    )


def _lost(url: str, error: Exception) -> ModelServerError:
    return ModelServerError(
        got=f"{type(error).__name__} from the model server {url}",
        allowed="a whole answer",
        action="send the request again; if it goes on, look into the model server's log",
        retry_after_seconds=1,
    )
