"""Prometheus metrics of the models: which serve, how they are loaded, and how the gateway's model servers do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from streetvision_core.serving.engine import LiveEngine
from streetvision_core.serving.metrics import SECONDS_BUCKETS, Group

if TYPE_CHECKING:
    from streetvision_core.serving.remote import RemoteServer

LOCAL: Final = "local"
"""The name of the model in our own process."""
IMAGES_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)


class ServedMetrics(Group):
    """Which versions serve, since when, and how old they are."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        self.ready = self._gauge("sv_ready", "1 when a model has answered its warm-up frame.")
        self.info = self._gauge("sv_model_info", "1 for each version that serves.", "server", "version", "policy")
        self.loaded = self._gauge("sv_model_loaded_timestamp_seconds", "When it began to serve.", "server")
        self.created = self._gauge("sv_model_created_timestamp_seconds", "When the version was made.", "server")

    def clear(self) -> None:
        """Forgets all versions."""
        for gauge in (self.info, self.loaded, self.created):
            gauge.clear()

    def note(self, server: str, version: str, policy: str, since: datetime, created: datetime | None) -> None:
        """Notes a version that serves."""
        self.info.labels(server, version, policy).set(1)
        self.loaded.labels(server).set(since.timestamp())
        if created is not None:
            self.created.labels(server).set(created.timestamp())


class ModelMetrics(ServedMetrics):
    """What the side that holds the model counts."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        self.batch_images = self._histogram("sv_batch_images", "Images per batch.", IMAGES_BUCKETS)
        self.reloads = self._counter("sv_reloads", "Attempts to exchange the model.", "outcome")
        self.model_queue_depth = self._gauge("sv_model_queue_depth", "Images the model side holds.")

    def observe_swap(self, live: LiveEngine) -> None:
        """Notes which model serves."""
        self.clear()
        self.note(LOCAL, live.version, live.policy, live.since, live.facts.created)
        self.ready.set(1)


class FleetMetrics(ServedMetrics):
    """What the gateway counts of its model servers."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
        self.up = self._gauge("sv_model_server_up", "1 while it answers frames.", "server")
        self.weight = self._gauge("sv_model_server_weight", "Its share of the images; 0 drains it.", "server")
        self.waiting = self._gauge("sv_model_server_queue_depth", "Images it holds, of all gateways.", "server")
        self.attempts = self._counter("sv_attempts", "Images given to a model server.", "server", "outcome")
        self.attempt_seconds = self._histogram(
            "sv_attempt_latency_seconds",
            "From giving an image to a model server to its answer.",
            SECONDS_BUCKETS,
            "server",
        )
        self.restarts = self._counter("sv_model_server_restarts", "Model servers started anew.", "server")

    def observe_servers(self, servers: Sequence[RemoteServer]) -> None:
        """Notes how each server is; one that is gone is forgotten."""
        self.clear()
        for gauge in (self.up, self.weight, self.waiting):
            gauge.clear()
        for server in servers:
            name, status = server.spec.name, server.status
            self.up.labels(name).set(server.ready)
            self.weight.labels(name).set(server.spec.weight)
            if status is not None:
                self.waiting.labels(name).set(status.waiting)
                self.note(name, status.version, status.policy, status.since, status.created)
        self.ready.set(any(server.ready and server.spec.weight > 0 for server in servers))
