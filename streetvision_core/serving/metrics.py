"""Prometheus metrics: seconds and bytes as base units, counters end in `_total`."""

from __future__ import annotations

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streetvision_core.serving.engine import LiveEngine
from streetvision_core.types import Verdict

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 9.0)
"""Up to the 9 s a validator waits."""

PROBABILITY_BUCKETS: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
IMAGES_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's metrics in a registry of their own, so that several servers fit into one process (tests)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = self._counter("sv_requests", "Requests by protocol and HTTP status.", "protocol", "status")
        self.request_seconds = self._histogram(
            "sv_request_latency_seconds", "From the first header to the answer.", SECONDS_BUCKETS, "protocol"
        )
        self.stage_seconds = self._histogram(
            "sv_stage_latency_seconds",
            "Seconds per image in each stage of the cascade, and in decode and queue before it.",
            SECONDS_BUCKETS,
            "stage",
        )
        self.exits = self._counter("sv_exits", "Fresh answers by the stage that decided.", "stage", "certified")
        self.probability = self._histogram("sv_verdict_probability", "p_roadwork of answers.", PROBABILITY_BUCKETS)
        self.batch_images = self._histogram("sv_batch_images", "Images per batch.", IMAGES_BUCKETS)
        self.rejects = self._counter("sv_rejects", "Requests and images not answered, by reason.", "reason")
        self.cache_hits = self._counter("sv_cache_hits", "Images answered from the cache.")
        self.cache_misses = self._counter("sv_cache_misses", "Images not in the cache.")
        self.log_written = self._counter("sv_log_written", "Answers in the query log.")
        self.log_dropped = self._counter("sv_log_dropped", "Answers that did not reach the query log.", "reason")
        self.reloads = self._counter("sv_reloads", "Attempts to exchange the model.", "outcome")
        self.queue_depth = Gauge("sv_queue_depth", "Images admitted and not yet answered.", registry=self.registry)
        self.bytes_in_flight = Gauge("sv_bytes_in_flight", "Bodies held by all requests.", registry=self.registry)
        self.log_depth = Gauge("sv_log_queue_depth", "Answers waiting to be logged.", registry=self.registry)
        self.ready = Gauge("sv_ready", "1 when a model has answered its warm-up frame.", registry=self.registry)
        self.model_info = Gauge(
            "sv_model_info", "1 for the version that serves.", ["version", "policy"], registry=self.registry
        )
        self.model_loaded = Gauge(
            "sv_model_loaded_timestamp_seconds", "When the model began to serve.", registry=self.registry
        )

    def observe_verdict(self, verdict: Verdict, fresh: bool) -> None:
        """Counts one answer; its stages only if it was not taken from the cache."""
        self.probability.observe(verdict.p_roadwork)
        if fresh:
            self.exits.labels(verdict.exit_stage, str(verdict.certified).lower()).inc()
            for evidence in verdict.evidence:
                self.stage_seconds.labels(evidence.stage).observe(evidence.seconds)

    def observe_swap(self, live: LiveEngine) -> None:
        """Notes which model serves."""
        self.model_info.clear()
        self.model_info.labels(live.version, live.policy).set(1)
        self.model_loaded.set(live.since.timestamp())
        self.ready.set(1)

    def render(self) -> bytes:
        """The text a Prometheus server reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
