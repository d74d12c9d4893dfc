"""Prometheus metrics of the gateway: seconds and bytes as base units, counters end in `_total`."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streetvision_core.serving.backend import Answer
from streetvision_core.serving.drift import Drift

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 9.0)
"""Up to the 9 s a validator waits."""

PROBABILITY_BUCKETS: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

VERSIONS: Final = 4
"""Versions whose drift is followed; two serve at once while one hands over to the other."""


class Group:
    """Metrics in one registry.

    Args:
        registry: several groups may share one; a new one with the process's own metrics if None. Never the global one,
            so that several servers fit into one process (tests).
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or _new_registry()

    def render(self) -> bytes:
        """The text a Prometheus server reads."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


class Metrics(Group):
    """What the gateway counts."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__(registry)
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
        self.partial = self._counter("sv_partial_answers", "Answers that the deadline cut short.")
        self.probability = self._histogram("sv_verdict_probability", "p_roadwork of answers.", PROBABILITY_BUCKETS)
        self.rejects = self._counter("sv_rejects", "Requests and images not answered, by reason.", "reason")
        self.cache_hits = self._counter("sv_cache_hits", "Images answered from the cache.")
        self.cache_misses = self._counter("sv_cache_misses", "Images not in the cache.")
        self.cache_errors = self._counter("sv_cache_errors", "Times that the cache failed, by reason.", "reason")
        self.cache_up = self._gauge("sv_cache_up", "1 while the shared cache answers.")
        self.key_requests = self._counter("sv_key_requests", "Requests by API key.", "key")
        self.p_drift = self._gauge(
            "sv_p_drift", "Distance of the served probabilities from the version's own.", "version"
        )
        self.p_drift_limit = self._gauge(
            "sv_p_drift_limit", "What chance alone makes of it once in a hundred times.", "version"
        )
        self._cache_up: bool | None = None
        self._drifts: dict[str, Drift] = {}
        self.log_written = self._counter("sv_log_written", "Answers in the query log.")
        self.log_dropped = self._counter("sv_log_dropped", "Answers that did not reach the query log.", "reason")
        self.queue_depth = self._gauge("sv_queue_depth", "Images admitted and not yet answered.")
        self.bytes_in_flight = self._gauge("sv_bytes_in_flight", "Bodies held by all requests.")
        self.log_up = self._gauge("sv_log_up", "1 while the query log can be written.")
        self.log_bytes = self._gauge("sv_log_bytes", "Photographs of the query log.")
        self.disk_free_bytes = self._gauge("sv_disk_free_bytes", "Free space on the query log's disk.")
        self.log_depth = self._gauge("sv_log_queue_depth", "Answers waiting to be logged.")

    def note_drift(self, version: str, p: float, reference: tuple[float, ...]) -> None:
        """Compares a version's answers with its reference; of many versions the newest are kept."""
        if version not in self._drifts:
            self._drifts[version] = Drift()
            while len(self._drifts) > VERSIONS:
                old = next(iter(self._drifts))
                del self._drifts[old]
                for gauge in (self.p_drift, self.p_drift_limit):
                    with suppress(KeyError):
                        gauge.remove(old)
        drift = self._drifts[version]
        if drift.note(p, reference):
            self.p_drift.labels(version).set(drift.value or 0.0)
            self.p_drift_limit.labels(version).set(drift.limit or 0.0)

    def note_cache(self, up: bool) -> bool:
        """Notes whether the shared cache answers, and says whether that is new."""
        new, self._cache_up = up is not self._cache_up, up
        self.cache_up.set(up)
        return new

    def observe_answer(self, answer: Answer, fresh: bool) -> None:
        """Counts one answer; its stages only if it was not taken from the cache."""
        verdict = answer.verdict
        self.probability.observe(verdict.p_roadwork)
        if not fresh:
            return
        self.exits.labels(verdict.exit_stage, str(verdict.certified).lower()).inc()
        if not answer.complete:
            self.partial.inc()
        for step, seconds in answer.steps.items():
            self.stage_seconds.labels(step).observe(seconds)
        for evidence in verdict.evidence:
            self.stage_seconds.labels(evidence.stage).observe(evidence.seconds)


def _new_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
