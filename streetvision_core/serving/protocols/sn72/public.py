"""A miner's port is open to the world, but only the subnet's paths are for the world."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from streetvision_core.serving.origin import origin_of
from streetvision_core.serving.protocols.sn72.protocol import NAMES

OPEN: Final = frozenset(f"/{name}" for name in NAMES)


class OnlyValidators:
    """Answers every path to callers on this machine, and to others those of the subnet only.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in OPEN or origin_of(scope).here:
            await self._app(scope, receive, send)
        else:
            await Response(status_code=404)(scope, receive, send)
