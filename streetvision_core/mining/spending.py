"""Money that cannot be overspent: a cap, and a file that remembers what has gone, over restarts and processes.

The dearest a call can be is set aside before it is made and corrected afterwards. A process killed in between leaves
the whole amount spent: the cap may be reached too early, never too late.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from streetvision_core.errors import BudgetError
from streetvision_core.storage import atomic_write_json


@dataclass
class Receipt:
    """What a call cost; the caller fills `usd` in when it knows, else the whole reserve is spent."""

    usd: float


class Budget:
    """A cap in US dollars.

    Args:
        path: remembers what was spent; shared by all processes that spend from it.
        limit_usd: the cap; raising it later is a person's decision, so it is not stored.
    """

    def __init__(self, path: Path, limit_usd: float) -> None:
        self.path, self.limit_usd = path, limit_usd
        self._lock = FileLock(path.with_suffix(".lock"))

    @property
    def spent_usd(self) -> float:
        """Spent and set aside so far."""
        return float(json.loads(self.path.read_text())["spent_usd"]) if self.path.exists() else 0.0

    @property
    def left_usd(self) -> float:
        """What may still be spent."""
        return max(0.0, self.limit_usd - self.spent_usd)

    @contextmanager
    def spend(self, most_usd: float) -> Iterator[Receipt]:
        """Sets money aside for one call.

        Args:
            most_usd: the most the call can cost.

        Yields:
            A receipt; set `usd` to what it did cost. If the call raises, all of `most_usd` counts as spent, because the
            provider may have charged it.

        Raises:
            BudgetError: the call could pass the cap; it is not made.
        """
        self._add(most_usd)
        receipt = Receipt(most_usd)
        yield receipt
        if receipt.usd != most_usd:
            self._correct(receipt.usd - most_usd)

    def _add(self, usd: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            spent = self.spent_usd
            if usd < 0 or spent + usd > self.limit_usd + 1e-9:
                raise BudgetError(
                    got=f"a call of up to {usd:.4f} USD with {spent:.4f} of {self.limit_usd:.2f} USD spent",
                    allowed=f"{max(0.0, self.limit_usd - spent):.4f} USD more",
                    action="go on with what is there, or raise the limit",
                    spent_usd=spent,
                    limit_usd=self.limit_usd,
                )
            atomic_write_json(self.path, {"spent_usd": spent + usd})

    def _correct(self, usd: float) -> None:
        with self._lock:
            atomic_write_json(self.path, {"spent_usd": max(0.0, self.spent_usd + usd)})
