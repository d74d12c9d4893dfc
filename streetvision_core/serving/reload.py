"""Hot reload: the registry's champion becomes the engine that serves, without losing a request.

The new engine is loaded and answers its warm-up frame in another thread while the old one goes on serving. One that
fails is tried again after growing pauses; until it works, or another champion is named, the old one serves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Protocol

import structlog

from streetvision_core.registry.versions import ModelVersion, Registry
from streetvision_core.serving.engine import Engine, EngineSlot, Facts, LiveEngine, warm_up
from streetvision_core.serving.model_metrics import ModelMetrics

MAX_PAUSE_SECONDS: Final = 60.0
REFERENCE_CARD: Final = "p_reference"
"""Where a version's card says how its own probabilities were spread."""
_log = structlog.get_logger(__name__)


class Champions(Protocol):
    """Names the version that ought to serve, and loads it."""

    def name(self) -> str | None:
        """Its name, or None before the first; cheap, asked every few seconds."""
        ...

    def load(self, name: str) -> Engine:
        """The engine of a version, its files checked."""
        ...

    def facts(self, name: str) -> Facts:
        """What else is known of a version."""
        ...


class RegistryChampions:
    """The champion of a registry.

    Args:
        registry: where versions and their history lie.
        load: makes an engine of a checked version.
        pinned: a version, its number, or `challenger`, that serves instead of the champion.
    """

    def __init__(self, registry: Registry, load: Callable[[ModelVersion], Engine], pinned: str | None = None) -> None:
        self._registry = registry
        self._load = load
        self._pinned = pinned

    def name(self) -> str | None:
        """The champion's name, read from the history alone; or that of the pinned version."""
        if self._pinned is None:
            return self._registry.promotions.champion()
        return self._registry.get(self._pinned, check=False).name

    def load(self, name: str) -> Engine:
        """The engine of a version.

        Raises:
            ManifestError: a file differs from the manifest.
        """
        return self._load(self._registry.get(name))

    def facts(self, name: str) -> Facts:
        """What else is known of a version."""
        version = self._registry.get(name, check=False)
        return Facts(version.created_at, tuple(version.card.get(REFERENCE_CARD, ())))


class Watcher:
    """Keeps the slot filled with the champion.

    Args:
        champions: what ought to serve.
        slot: what serves.
        seconds: pause between two looks.
        metrics: counts attempts by outcome: `loaded`, `failed`, `unreadable`.
    """

    def __init__(self, champions: Champions, slot: EngineSlot, seconds: float, metrics: ModelMetrics) -> None:
        self._champions = champions
        self._slot = slot
        self._seconds = seconds
        self._metrics = metrics
        self._serving: str | None = slot.current.version if slot.current else None
        self._failed: str | None = None
        self._pause = 0.0
        self._again_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reload")

    async def run(self) -> None:
        """Looks for ever; cancel it to end."""
        while True:
            await self.look()
            await asyncio.sleep(self._seconds)

    async def look(self) -> None:
        """Loads the champion if it is not the one that serves; never raises."""
        loop = asyncio.get_running_loop()
        try:
            name = await loop.run_in_executor(self._thread, self._champions.name)
        except Exception as error:
            self._metrics.reloads.labels("unreadable").inc()
            _log.warning("promotions cannot be read; the model stays", error=str(error))
            return
        if name is None or name == self._serving or (name == self._failed and time.monotonic() < self._again_at):
            return
        try:
            live = await loop.run_in_executor(self._thread, self._load, name)
        except Exception as error:
            self._note_failure(name, error)
            return
        before, self._serving, self._failed = self._serving, name, None
        self._slot.swap(live)
        self._metrics.reloads.labels("loaded").inc()
        _log.info("model serves", version=name, policy=live.policy, before=before)

    def close(self) -> None:
        """Ends the loading thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _load(self, name: str) -> LiveEngine:
        return replace(warm_up(self._champions.load(name)), facts=self._champions.facts(name))

    def _note_failure(self, name: str, error: Exception) -> None:
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS) if name == self._failed else self._seconds
        self._failed, self._again_at = name, time.monotonic() + self._pause
        self._metrics.reloads.labels("failed").inc()
        _log.error(
            "model cannot serve; the old one goes on",
            version=name,
            serving=self._serving,
            again_in_seconds=round(self._pause, 1),
            error=f"{type(error).__name__}: {error}",
        )
