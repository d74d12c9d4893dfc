"""The protocol's own metrics, in the server's registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from streetvision_core.serving.protocols.sn72.access import SnapshotFile
from streetvision_core.serving.protocols.sn72.refusals import STATUS


class Sn72Metrics:
    """Counts queries by validator and refusals by reason; both sets of labels are bounded.

    Args:
        registry: the server's.
        snapshot: whose age is shown.
    """

    def __init__(self, registry: CollectorRegistry, snapshot: SnapshotFile) -> None:
        self.queries = Counter(
            "sv_sn72_queries", "Queries of permitted hotkeys that reached the model.", ["validator"], registry=registry
        )
        self.rejects = Counter("sv_sn72_rejects", "Queries refused, by reason.", ["reason"], registry=registry)
        self.asked = Gauge("sv_sn72_last_query_timestamp_seconds", "When a validator last asked.", registry=registry)
        age = Gauge("sv_sn72_snapshot_age_seconds", "Age of the metagraph snapshot; -1 without.", registry=registry)
        for reason in (*STATUS, "client-gone"):
            self.rejects.labels(reason)

        def seconds() -> float:
            snapshot.refresh()
            return -1.0 if snapshot.current is None else snapshot.current.age_seconds()

        age.set_function(seconds)

    def observe_query(self, validator: str) -> None:
        """Notes a query that goes to the model."""
        self.queries.labels(validator).inc()
        self.asked.set_to_current_time()
