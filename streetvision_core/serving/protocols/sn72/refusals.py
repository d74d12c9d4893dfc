"""Why a query is refused. The log and the metrics get the reason, the caller only the status and its one sentence."""

from __future__ import annotations

from typing import Final

from streetvision_core.errors import QueryRefusedError

STATUS: Final = {
    "headers": 400,
    "version": 400,
    "timeout": 400,
    "body": 400,
    "body-hash": 400,
    "image": 400,
    "unsigned": 401,
    "receiver": 401,
    "signature": 401,
    "nonce-old": 401,
    "nonce-future": 401,
    "nonce-replayed": 401,
    "hotkey-unknown": 403,
    "no-permit": 403,
    "stake": 403,
    "slow-body": 408,
    "deadline": 408,
    "size": 413,
    "rate": 429,
    "model": 500,
    "snapshot": 503,
    "nonce-store": 503,
    "overload": 503,
    "not-ready": 503,
}
"""Reasons and their HTTP status; the set of reasons is closed, because it labels a metric."""

MESSAGES: Final = {
    400: "Bad request",
    401: "Not verified",
    403: "Forbidden",
    408: "Timed out",
    413: "Body too large",
    429: "Too many requests",
    500: "Internal error",
    503: "Busy",
}
"""All a caller is told: what failed within the verification helps nobody but a forger."""


def refused(reason: str, got: str, allowed: str, action: str = "mend the caller") -> QueryRefusedError:
    """The error for a reason."""
    return QueryRefusedError(got, allowed, action, reason=reason, status=STATUS[reason])
