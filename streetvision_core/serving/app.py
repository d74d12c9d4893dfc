"""Gateway and model in one process: for notebooks, tests and whoever embeds the server."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette

from streetvision_core.mining.querylog import QueryLog
from streetvision_core.serving.cache import VerdictCache
from streetvision_core.serving.engine import Engine
from streetvision_core.serving.gateway_app import MOUNTS, Mount, create_gateway_app
from streetvision_core.serving.metrics import Metrics
from streetvision_core.serving.model_metrics import ModelMetrics
from streetvision_core.serving.model_side import ModelSide
from streetvision_core.serving.reload import Champions
from streetvision_core.settings import Settings


def create_app(
    engine: Engine | None,
    settings: Settings,
    log: QueryLog | None = None,
    champions: Champions | None = None,
    cache: VerdictCache | None = None,
    mounts: Sequence[Mount] = MOUNTS,
) -> Starlette:
    """The whole server in one process.

    Args:
        engine: answers from the start; None waits for `champions` to name one.
        settings: limits.
        log: where answers are written; closed when the server stops. None keeps no log.
        champions: asked every few seconds which version ought to serve; None keeps `engine`.
        cache: answers from before; an in-process cache if None.
        mounts: the protocols.

    Returns:
        An ASGI application; its state holds `metrics`, for tests and for whoever embeds it.
    """
    metrics = Metrics()
    model = ModelSide(engine, settings, ModelMetrics(metrics.registry), champions)
    return create_gateway_app(model.backend, settings, metrics, log, cache, (model,), mounts)
