"""Each request has an id, so that a caller's error can be found in the log."""

from __future__ import annotations

import itertools
import re
import secrets
from contextvars import ContextVar
from typing import Final

HEADER: Final = "x-request-id"
_GIVEN: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_RUN: Final = secrets.token_hex(5)
"""Tells the requests of one process from those of another."""
_count: Final = itertools.count(1)
_current: ContextVar[str] = ContextVar("request_id", default="")


def next_id() -> str:
    """An id that no other request has."""
    return f"{_RUN}-{next(_count)}"


def begin(given: bytes | None) -> str:
    """Sets the id of the request that this task answers: its caller's or proxy's if that is plain, else a new one."""
    request_id = given.decode("ascii") if given is not None and _GIVEN.fullmatch(given) else next_id()
    _current.set(request_id)
    return request_id


def current() -> str:
    """The id of the request that this task answers; empty outside of one."""
    return _current.get()
