"""The half that holds the model: first engine, batcher, decoder, hot reload; in the gateway's process or its own."""

from __future__ import annotations

import asyncio

import structlog

from streetvision_core.errors import EngineError
from streetvision_core.serving._forever import forever
from streetvision_core.serving.batching import Batcher
from streetvision_core.serving.engine import Engine, EngineSlot, LiveEngine, warm_up
from streetvision_core.serving.local import LocalBackend
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.reload import Champions, Watcher
from streetvision_core.settings import Settings

_log = structlog.get_logger(__name__)


class ModelSide:
    """Answers images with the engine that serves.

    Args:
        engine: answers from the start; None waits for `champions` to name one.
        settings: limits.
        metrics: batches, reloads, which model serves.
        champions: asked every few seconds which version ought to serve; None keeps `engine`.
    """

    def __init__(
        self, engine: Engine | None, settings: Settings, metrics: ModelMetrics, champions: Champions | None = None
    ) -> None:
        serving = settings.serving
        self._slot = EngineSlot(metrics.observe_swap)
        self._batcher = Batcher(self._slot, serving.batch_images, serving.batch_wait_seconds, metrics)
        self.backend = LocalBackend(self._slot, self._batcher, settings)
        self._engine = engine
        self._champions = champions
        self._settings = serving
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._watcher: Watcher | None = None

    def live(self) -> LiveEngine:
        """The engine that serves.

        Raises:
            NotReadyError: none yet.
            EngineError: its current batch has been running for so long that it hangs.
        """
        busy = self._batcher.busy_seconds()
        if busy > self._settings.stall_seconds:
            raise EngineError(
                got=f"a batch that has been running for {busy:.0f} s",
                allowed=f"batches of at most {self._settings.stall_seconds:g} s (serving.stall_seconds)",
                action="end this model server; its supervisor starts another",
            )
        return self._slot.require()

    async def start(self) -> None:
        """Begins in the background: the server listens, and says that it is not ready, while a model loads."""
        self._batcher.start()
        self._task = asyncio.create_task(self._fill(), name="model")

    async def _fill(self) -> None:
        if self._engine is not None:
            try:
                self._slot.swap(await asyncio.to_thread(warm_up, self._engine))
            except Exception as error:
                _log.error("the engine did not answer its warm-up frame", error=f"{type(error).__name__}: {error}")
        if self._champions is not None:
            self._watcher = Watcher(self._champions, self._slot, self._settings.reload_seconds, self._metrics)
            await forever("reload", self._watcher.look, self._metrics.failures, self._settings.reload_seconds)

    async def stop(self) -> None:
        """Answers what was admitted, then ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._watcher is not None:
            self._watcher.close()
        await self._batcher.stop(self._settings.drain_seconds)
        self.backend.close()
