"""In front of everything: each request has an id and an origin; foreign web pages and foreign names are refused.

A browser asks every address its user can reach on behalf of any page that is open. So a page of a stranger could send
pictures to a server on the user's own machine, and fill the log that teaches. Such requests are known by what the
browser says of them (`Origin`, `Sec-Fetch-Site`) and by the name they ask for (`Host`).
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streetvision_core.errors import CrossSiteError, HostError, RequestError, StreetVisionError
from streetvision_core.serving import _request_id
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.origin import KEY, Origin, host_name, is_known_host, read_origin
from streetvision_core.serving.protocols._answers import error_response
from streetvision_core.settings import ServingSettings

_OWN_SITES: Final = (None, b"same-origin", b"none")
_PAGE: Final = "/"
_HEALTH: Final = "/health/"
"""Asked by load balancers under any name; it says nothing that is worth a wall."""
_SHOWN: Final = 80
_MOST_NAMES: Final = 1024


class Wall:
    """ASGI middleware, the outermost.

    Args:
        app: what lies behind.
        settings: the names under which we may be asked, and whether a proxy stands before us.
        metrics: counts refusals.
        signed_paths: their callers are told by a signature, whatever name they use.
    """

    def __init__(
        self, app: ASGIApp, settings: ServingSettings, metrics: Metrics, signed_paths: Collection[str] = ()
    ) -> None:
        self._app = app
        self._behind_proxy = settings.behind_proxy
        self._named = frozenset(name.lower().rstrip(".") for name in settings.hosts)
        self._names = self._named | {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        self._metrics = metrics
        self._signed = frozenset(signed_paths)
        self._known: dict[bytes, bool] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers 400, 403 or 421."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = scope[KEY] = read_origin(scope, self._behind_proxy)
        request_id = _request_id.begin(origin.request_id).encode()

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                message["headers"] = [*message.get("headers", ()), (_request_id.HEADER.encode(), request_id)]
            await send(message)

        try:
            self._check(scope, origin)
        except StreetVisionError as error:
            self._metrics.rejects.labels(type(error).__name__).inc()
            await error_response(error)(scope, receive, tagged)
            return
        await self._app(scope, receive, tagged)

    def _check(self, scope: Scope, origin: Origin) -> None:
        if len(origin.hosts) != 1:
            raise RequestError(f"{len(origin.hosts)} Host headers", "exactly one", "send the name that you ask for")
        path: str = scope["path"]
        if path in self._signed or path.startswith(_HEALTH):
            return
        if not self._is_known(origin.hosts[0]):
            raise HostError(
                got=f"a request for the host {_show(origin.hosts[0])}",
                allowed="an address, localhost, this machine's name, or a name in serving.hosts",
                action="let the server's owner set SV_SERVING__HOSTS, a JSON list of names, to include it",
            )
        if origin.site not in _OWN_SITES and not self._opens_page(scope, origin):
            raise _foreign(f"a request from a web page of another site ({_show(origin.site or b'')})")
        if origin.page is not None and not self._is_own_page(origin.page, origin.hosts[0]):
            raise _foreign(f"a request from the web page {_show(origin.page)} for the host {_show(origin.hosts[0])}")

    def _is_known(self, host: bytes) -> bool:
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            known = self._known[host] = is_known_host(host_name(host), self._names)
        return known

    @staticmethod
    def _opens_page(scope: Scope, origin: Origin) -> bool:
        """A link on another page that leads to ours."""
        return origin.mode == b"navigate" and scope["method"] in ("GET", "HEAD") and scope["path"] == _PAGE

    def _is_own_page(self, page: bytes, host: bytes) -> bool:
        """Our page under the name that was asked for; behind a proxy that changes the name, under one that is set."""
        scheme, _, authority = page.partition(b"://")
        if scheme.lower() not in (b"http", b"https"):
            return False
        return authority.lower() == host.lower() or host_name(authority) in self._named


def _show(value: bytes) -> str:
    """A header's value in a message: printable, and no longer than a line."""
    return ascii(value[:_SHOWN].decode("latin-1"))


def _foreign(got: str) -> CrossSiteError:
    return CrossSiteError(
        got=got,
        allowed="requests of our own page and of programs",
        action="open the server's own page; behind a proxy, pass on the name that was asked for (Host) or set it in "
        "SV_SERVING__HOSTS",
    )
