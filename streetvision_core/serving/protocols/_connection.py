"""Work that is given up when its caller hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response

Result = TypeVar("Result")

GONE: Final = Response(status_code=499)
"""The status nginx logs for a caller that hung up; nobody receives it."""


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result of the work, or None if the caller hung up first; the work is cancelled then.

    Args:
        request: its body has been read.
        work: never gives None.
    """
    job = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_until_disconnected(request))
    try:
        await asyncio.wait({job, gone}, return_when=asyncio.FIRST_COMPLETED)
        return job.result() if job.done() else None
    finally:
        for task in (job, gone):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
