"""Ctrl-C and SIGTERM end a loop in order: the kernel is shut down, the state saved, then the process exits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a signal has asked the loop to stop, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def request(self, number: int) -> None:
        """Asks for a stop; the first signal counts."""
        if self.signal is None:
            self.signal = number

    @property
    def exit_code(self) -> int:
        """128 + signal number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM; 0 without a signal."""
        return 0 if self.signal is None else 128 + self.signal


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turns SIGINT and SIGTERM into a request while the block runs; does nothing outside the main thread."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handler: Callable[[int, FrameType | None], None] = lambda number, _frame: stop.request(number)  # noqa: E731
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)
