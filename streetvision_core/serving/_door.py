"""How many connections one server holds, from where, and which of them do nothing.

A connection that has no request in progress is idle: it has so many seconds to send a whole head, and where there is no
room for another one the one that has been idle longest is closed first. Nothing here costs more than two dictionary
operations a request.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from streetvision_core.settings import ServingSettings

RESERVE: Final = 16
"""Connections above the bound, for /health and /metrics only: who looks after the server still gets in."""
READ_SECONDS: Final = 30.0
"""Longest a caller may take to read an answer."""
SWEEP_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)


class Guest(Protocol):
    """A connection as the door sees it."""

    address: str | None
    """The other end's; None on a socket file, where there is no bound for each."""
    reserved: bool
    """Whether it came in by the reserve."""

    def unread_bytes(self) -> int:
        """Bytes of answers that the caller has not read yet."""
        ...

    def leave(self) -> None:
        """Closes it."""
        ...

    def abort(self) -> None:
        """Closes it without sending what is left."""
        ...


class Door:
    """The connections of one server.

    Args:
        limits: how many, and how long one may be idle.
        clock: gives seconds.
    """

    def __init__(self, limits: ServingSettings, clock: Callable[[], float] | None = None) -> None:
        self._limits = limits
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._all: dict[Guest, float | None] = {}
        """Since when its answers have been waiting to be read."""
        self._idle: dict[Guest, float] = {}
        """Since when, longest first."""
        self._by_address: Counter[str] = Counter()
        self._sweeping: asyncio.TimerHandle | None = None
        self.closed = Counter[str]()
        """By reason, for tests and the log."""

    def enter(self, guest: Guest) -> bool:
        """Lets a connection in; False if there is no room and nobody idle who could go."""
        address = guest.address
        crowded = address is not None and self._by_address[address] >= self._limits.connections_per_address
        if crowded and not self._drop_idle(address):
            return self._refuse("address")
        if len(self._all) >= self._limits.max_connections and not self._drop_idle(None):
            if len(self._all) >= self._limits.max_connections + RESERVE:
                return self._refuse("full")
            guest.reserved = True
        self._all[guest] = None
        if address is not None:
            self._by_address[address] += 1
        self._idle[guest] = self._clock()
        if self._sweeping is None:
            self._sweep_later()
        return True

    def work(self, guest: Guest) -> None:
        """Notes that a whole head has come."""
        self._idle.pop(guest, None)

    def rest(self, guest: Guest) -> None:
        """Notes that the last answer has gone."""
        if guest in self._all:
            self._idle.pop(guest, None)
            self._idle[guest] = self._clock()

    def exit(self, guest: Guest) -> None:
        """Notes that a connection has gone."""
        self._idle.pop(guest, None)
        if guest not in self._all:
            return
        del self._all[guest]
        if guest.address is not None:
            self._by_address[guest.address] -= 1
            if not self._by_address[guest.address]:
                del self._by_address[guest.address]

    def sweep(self) -> None:
        """Closes who has been idle, or has not read, for too long."""
        now = self._clock()
        for guest, since in list(self._idle.items()):
            if now - since < self._limits.head_seconds:
                break
            self._close(guest, "idle")
        for guest, unread_since in list(self._all.items()):
            if not guest.unread_bytes():
                self._all[guest] = None
            elif unread_since is None:
                self._all[guest] = now
            elif now - unread_since > READ_SECONDS:
                self.closed["unread"] += 1
                self.exit(guest)
                guest.abort()

    def _drop_idle(self, address: str | None) -> bool:
        """Closes who has been idle longest, of one address or of all."""
        oldest = next((guest for guest in self._idle if address is None or guest.address == address), None)
        if oldest is None:
            return False
        self._close(oldest, "dropped")
        return True

    def _close(self, guest: Guest, reason: str) -> None:
        self.closed[reason] += 1
        self.exit(guest)
        guest.leave()

    def _refuse(self, reason: str) -> bool:
        if not self.closed[reason]:
            _log.warning("connections are refused", reason=reason, held=len(self._all))
        self.closed[reason] += 1
        return False

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep_again)

    def _sweep_again(self) -> None:
        self._sweeping = None
        if self._all:
            self._sweep_later()  # first, so that a fault in one sweep is not the last of them
        self.sweep()
