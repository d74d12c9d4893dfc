"""Which image-text models lie in memory: all that fit; where they do not, the one used last.

Example:
    >>> memory = Residency(lambda: 10)
    >>> with memory.use("a", 6, lambda: "model a") as a, memory.use("b", 6, lambda: "model b") as b:
    ...     memory.resident
    ('b',)
"""

from __future__ import annotations

import gc
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

_log = structlog.get_logger()


class Residency:
    """Loads at first use, keeps what fits, drops the least recently used.

    One caller at a time works with a model of this memory: they share a device.

    Args:
        budget_bytes: what all models together may take; asked whenever one is to be loaded.
    """

    def __init__(self, budget_bytes: Callable[[], int]) -> None:
        self._budget_bytes = budget_bytes
        self._lock = threading.RLock()
        self._held: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    @property
    def resident(self) -> tuple[str, ...]:
        """Names of what is in memory, the least recently used first."""
        return tuple(self._held)

    @property
    def bytes(self) -> int:
        """Of what is in memory."""
        return sum(size for size, _ in self._held.values())

    @contextmanager
    def use(self, name: str, size: int, load: Callable[[], Any]) -> Iterator[Any]:
        """A model, loaded if need be; others make room for it.

        Args:
            name: of the model.
            size: bytes it takes.
            load: makes it. A model larger than the whole budget is still tried, alone: sizes are estimates, and the
                device has the last word.
        """
        with self._lock:
            if name not in self._held:
                self._make_room(name, size)
                self._held[name] = (size, load())
            self._held.move_to_end(name)
            yield self._held[name][1]

    def _make_room(self, name: str, size: int) -> None:
        budget = self._budget_bytes()
        while self._held and self.bytes + size > budget:
            gone, _ = self._held.popitem(last=False)
            _log.info("vlm.unloaded", model=gone, to_make_room_for=name, budget_gib=round(budget / 2**30, 2))
            _release()


def _release() -> None:
    """Gives the memory of dropped models back to a GPU; on a CPU it is free as soon as nothing refers to it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
