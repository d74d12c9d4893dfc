"""Hot reload: the registry's champion becomes the engine that serves, without losing a request.

The new engine is loaded and answers its warm-up frame in another thread while the old one goes on serving. One that
fails is tried again after growing pauses; until it works, or another champion is named, the old one serves. After a
restart there is no old one: then the newest earlier champion that passes its check stands in, and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Protocol

import structlog

from streetvision_core.errors import RegistryError
from streetvision_core.registry.events import stack_of
from streetvision_core.registry.versions import ModelVersion, Registry
from streetvision_core.scoring.shares import REFERENCE_CARD
from streetvision_core.serving.engine import Engine, EngineSlot, Facts, LiveEngine, warm_up
from streetvision_core.serving.model_metrics import ModelMetrics

MAX_PAUSE_SECONDS: Final = 60.0
UNREADABLE: Final = "a promotions history that cannot be read"
_log = structlog.get_logger(__name__)


class Champions(Protocol):
    """Names the version that ought to serve, and loads it."""

    def name(self) -> str | None:
        """Its name, or None before the first; cheap, asked every few seconds."""
        ...

    def earlier(self) -> tuple[str, ...]:
        """Versions that may stand in for it, the best first; must not raise."""
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
        pinned: a version, its number, or `challenger`, that serves in this process alone. It goes before the version
            that the registry has pinned, which goes before the champion.
    """

    def __init__(self, registry: Registry, load: Callable[[ModelVersion], Engine], pinned: str | None = None) -> None:
        self._registry = registry
        self._load = load
        self._pinned = pinned

    def name(self) -> str | None:
        """The version that ought to serve, read from the history alone.

        Raises:
            RegistryError: the history is damaged, or the pinned version has been put up for nothing yet.
        """
        if self._pinned is None:
            return self._registry.promotions.serving()
        name = self._registry.get(self._pinned, check=False).name
        if not any(e.version == name and e.action != "import" for e in self._registry.promotions.salvage()):
            raise RegistryError(
                got=f"a pin of {name}, which nobody has put up for service",
                allowed="a challenger, or a version that has served or passed the gate",
                action=f'put it into service first: streetvision versions approve {name} --override "…"',
            )
        return name

    def earlier(self) -> tuple[str, ...]:
        """The champions, newest first, without those a person has rolled back; of a damaged history what is whole."""
        return tuple(dict.fromkeys(reversed(stack_of(self._registry.promotions.salvage()))))

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
        seconds: first pause before a version that failed is tried again.
        metrics: counts attempts by outcome: `loaded`, `failed`, `unreadable`, `stand-in`.
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

    async def look(self) -> None:
        """Loads the champion if it is not the one that serves."""
        loop = asyncio.get_running_loop()
        try:
            name = await loop.run_in_executor(self._thread, self._champions.name)
        except Exception as error:
            self._metrics.reloads.labels("unreadable").inc()
            _log.warning("promotions cannot be read; the model stays", error=str(error))
            if not self._rests(UNREADABLE):
                await self._stand_in(UNREADABLE)
            return
        if name is None or self._rests(name):
            return
        if name == self._serving:
            self._confirm()
            return
        try:
            live = await loop.run_in_executor(self._thread, self._load, name)
        except Exception as error:
            self._note_failure(name, error)
            await self._stand_in(name)
            return
        self._swap(name, live, "loaded")

    def close(self) -> None:
        """Ends the loading thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _load(self, name: str) -> LiveEngine:
        return replace(warm_up(self._champions.load(name)), facts=self._champions.facts(name))

    def _swap(self, name: str, live: LiveEngine, outcome: str) -> None:
        before, self._serving = self._serving, name
        if not live.facts.instead_of:
            self._failed = None
        self._slot.swap(live)
        self._metrics.reloads.labels(outcome).inc()
        _log.info("model serves", version=name, policy=live.policy, before=before)

    async def _stand_in(self, wanted: str) -> None:
        """Lets the newest earlier champion serve that can, where nothing serves."""
        if self._slot.current is not None:
            return
        loop = asyncio.get_running_loop()
        for name in await loop.run_in_executor(self._thread, self._champions.earlier):
            if name == wanted:
                continue
            try:
                live = await loop.run_in_executor(self._thread, self._load, name)
            except Exception as error:
                _log.error("earlier version cannot serve", version=name, error=f"{type(error).__name__}: {error}")
                continue
            _log.error("an earlier version stands in", version=name, instead_of=wanted)
            self._swap(name, replace(live, facts=replace(live.facts, instead_of=wanted)), "stand-in")
            return
        if wanted == UNREADABLE:
            self._rest(wanted)

    def _confirm(self) -> None:
        """What stood in is what ought to serve by now."""
        live = self._slot.current
        if live is not None and live.facts.instead_of:
            self._slot.swap(replace(live, facts=replace(live.facts, instead_of="")))

    def _rests(self, name: str) -> bool:
        return name == self._failed and time.monotonic() < self._again_at

    def _rest(self, name: str) -> None:
        self._pause = min(2 * self._pause, MAX_PAUSE_SECONDS) if name == self._failed else self._seconds
        self._failed, self._again_at = name, time.monotonic() + self._pause

    def _note_failure(self, name: str, error: Exception) -> None:
        self._rest(name)
        self._metrics.reloads.labels("failed").inc()
        _log.error(
            "model cannot serve; the old one goes on",
            version=name,
            serving=self._serving,
            again_in_seconds=round(self._pause, 1),
            error=f"{type(error).__name__}: {error}",
        )
