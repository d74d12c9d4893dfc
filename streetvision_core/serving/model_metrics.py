"""Prometheus metrics of the models: which serve, how they are loaded, and how the gateway's model servers do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from streetvision_core.registry.age import days_since, reached_days
from streetvision_core.serving.engine import LiveEngine
from streetvision_core.serving.metrics import SECONDS_BUCKETS, Group

if TYPE_CHECKING:
    from streetvision_core.serving.remote import RemoteServer

LOCAL: Final = "local"
"""The name of the model in our own process."""
IMAGES_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)


class ServedMetrics(Group):
    """Which versions serve, since when, and how old they are."""

    def __init__(self, registry: CollectorRegistry | None = None, max_age_days: int = 90) -> None:
        super().__init__(registry)
        self._max_age_days = max_age_days
        self.ready = self._gauge("sv_ready", "1 when a model has answered its warm-up frame.")
        self.info = self._gauge("sv_model_info", "1 for each version that serves.", "server", "version", "policy")
        self.stand_in = self._gauge(
            "sv_model_stand_in",
            "1 while an earlier version serves because the one that ought to (`instead_of`) cannot.",
            "server",
            "version",
            "instead_of",
        )
        self.failures = self._counter("sv_background_failures", "Rounds of background tasks that failed.", "task")
        self.loaded = self._gauge("sv_model_loaded_timestamp_seconds", "When it began to serve.", "server")
        self.created = self._gauge("sv_model_created_timestamp_seconds", "When the version was made.", "server")
        self.age = self._gauge("sv_model_age_days", "Days since the version was made.", "server")
        self.age_notice = self._gauge(
            "sv_model_age_notice_days",
            "Last day reached of those on which the age is said (70, 75, 80, 85, 90); 0 before.",
            "server",
        )

    def clear(self) -> None:
        """Forgets all versions."""
        for gauge in (self.info, self.loaded, self.created, self.age, self.age_notice, self.stand_in):
            gauge.clear()

    def note(
        self,
        server: str,
        version: str,
        policy: str,
        since: datetime,
        created: datetime | None,
        instead_of: str = "",
    ) -> None:
        """Notes a version that serves."""
        if instead_of:
            self.stand_in.labels(server, version, instead_of).set(1)
        self.info.labels(server, version, policy).set(1)
        self.loaded.labels(server).set(since.timestamp())
        if created is not None:
            self.created.labels(server).set(created.timestamp())
            age = partial(_age, created)
            self.age.labels(server).set_function(age)
            self.age_notice.labels(server).set_function(lambda: reached_days(age(), self._max_age_days))


def _age(created: datetime) -> float:
    return days_since(created, datetime.now(UTC))


class ModelMetrics(ServedMetrics):
    """What the side that holds the model counts."""

    def __init__(self, registry: CollectorRegistry | None = None, max_age_days: int = 90) -> None:
        super().__init__(registry, max_age_days)
        self.batch_images = self._histogram("sv_batch_images", "Images per batch.", IMAGES_BUCKETS)
        self.reloads = self._counter("sv_reloads", "Attempts to exchange the model.", "outcome")
        self.model_queue_depth = self._gauge("sv_model_queue_depth", "Images the model side holds.")

    def observe_swap(self, live: LiveEngine) -> None:
        """Notes which model serves."""
        self.clear()
        facts = live.facts
        self.note(LOCAL, live.version, live.policy, live.since, facts.created, facts.instead_of)
        self.ready.set(1)


class FleetMetrics(ServedMetrics):
    """What the gateway counts of its model servers."""

    def __init__(self, registry: CollectorRegistry | None = None, max_age_days: int = 90) -> None:
        super().__init__(registry, max_age_days)
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
                self.note(name, status.version, status.policy, status.since, status.created, status.instead_of)
        self.ready.set(any(server.ready and server.spec.weight > 0 for server in servers))
